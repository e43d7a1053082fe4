"""Measures submitted and executed jobs per second of each client and prints a table with ratios to Rust. `bench` starts
it."""

import argparse
import statistics
import sys
import time

from agent import Agent
from languages import AGENTS, FAST_FLAGS
from server import Server
from stubs import admin_service, job, job_service

BASE = "rust"
IN_FLIGHT = 64
SLOTS = 64
KIND = "bench"
BATCH = 1_000
LIMIT_SECONDS = 300
"""Timeout of one measurement."""


def submits(agent, jobs):
    """Jobs per second that a client submits."""
    return jobs / agent.send("load", kind=KIND, jobs=jobs, in_flight=IN_FLIGHT).ok(LIMIT_SECONDS)["seconds"]


def works(agent, jobs):
    """Jobs per second that an echo worker executes from a full queue, from its start to the last result."""
    raw = agent.server.raw
    fill(raw, jobs)
    began = time.perf_counter()
    work = agent.work("echo", kinds=[KIND], slots=SLOTS)
    while succeeded(raw) < jobs:
        if time.perf_counter() - began > LIMIT_SECONDS:
            agent.fail(f"{jobs} jobs were not executed within {LIMIT_SECONDS} s")
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    work.stop()
    return jobs / seconds


def fill(raw, jobs):
    payload = {"text": '{"n":1}', "content_type": "application/json"}
    spec = job.JobSpec(kind=KIND, payload=payload)
    for first in range(0, jobs, BATCH):
        batch = job_service.BatchSubmitRequest(jobs=[spec] * min(BATCH, jobs - first), atomic=True)
        raw.jobs.BatchSubmit(batch, timeout=30)


def succeeded(raw):
    queues = raw.admin.ListQueues(admin_service.ListQueuesRequest(), timeout=30).queues
    return sum(queue.counts.succeeded for queue in queues)


MEASURES = {"submits": submits, "works": works}


def measure(agent, name, jobs):
    """Runs one measurement with a new server."""
    agent.server = Server()
    try:
        agent.connect(agent.server.address)
        return MEASURES[name](agent, jobs)
    finally:
        agent.stop_all()
        agent.server.stop()


def table(figures):
    """Medians with their ratio to Rust as a Markdown table."""
    medians = {key: statistics.median(values) for key, values in figures.items()}

    def cell(name, language):
        ratio = f" ({medians[name, language] / medians[name, BASE]:.2f})" if (name, BASE) in medians else ""
        return f"{round(medians[name, language], -2):,.0f}{ratio}"

    rows = ["| client | submits per second | executed per second |", "|---|---|---|"]
    languages = dict.fromkeys(language for _, language in figures)
    return rows + [f"| {language} | {cell('submits', language)} | {cell('works', language)} |" for language in languages]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help=", ".join(AGENTS))
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each, after one warm-up")
    parser.add_argument("--jobs", type=int, default=20_000)
    arguments = parser.parse_args()
    languages = arguments.languages or list(AGENTS)
    if unknown := set(languages) - set(AGENTS):
        parser.error(f"unknown language: {sorted(unknown)}; available: {', '.join(AGENTS)}")
    agents = {language: Agent(language, AGENTS[language] + FAST_FLAGS.get(language, [])) for language in languages}
    figures = {}
    # Interleaved, so that other load on the machine affects all languages. The first round is a warm-up.
    for round_ in range(arguments.rounds + 1):
        for name in MEASURES:
            for language, agent in agents.items():
                figure = measure(agent, name, arguments.jobs)
                print(f"round {round_}: {language} {name} {figure:,.0f} per second", file=sys.stderr)
                if round_ > 0:
                    figures.setdefault((name, language), []).append(figure)
    for agent in agents.values():
        agent.close()
    print("\n".join(table(figures)))


if __name__ == "__main__":
    main()
