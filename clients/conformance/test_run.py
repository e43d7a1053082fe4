"""Tests `run`, which submits a job and waits for its result in one call, whatever its retention."""

import uuid

import pytest

from agent import as_data, as_json, as_text, read_json

RUNS = 100
CONCURRENCY = 10


def one_job(server, label):
    (job,) = server.raw.labelled(test=label)
    return job


def test_results_are_received_with_retention_0(agent):
    kind = agent.work("echo", slots=CONCURRENCY).kind("echo")
    for first in range(0, RUNS, CONCURRENCY):
        numbers = range(first, first + CONCURRENCY)
        runs = [agent.running(kind, as_json({"n": n}), retention=0) for n in numbers]
        assert [read_json(run.ok()["payload"]) for run in runs] == [{"n": n} for n in numbers]


def test_failures_are_received_with_retention_0(agent):
    kind = agent.work("fail", slots=CONCURRENCY).kind("fail")
    failing = as_json({"mode": "permanent", "message": "no"})
    runs = [agent.running(kind, failing, retention=0) for _ in range(CONCURRENCY)]
    assert [run.error("job_failed")["failure"]["message"] for run in runs] == ["no"] * CONCURRENCY


@pytest.mark.parametrize("payload", [as_json({"id": 2**53 + 1}), as_text("plain"), as_data(b"\x89PNG", "image/png")], ids=lambda p: p["type"])
def test_run_returns_the_result(agent, payload):
    kind = agent.work("echo").kind("echo")
    result = agent.running(kind, payload).ok()["payload"]
    assert result == payload if payload["type"] != "json" else read_json(result) == read_json(payload)


def test_run_of_a_cancelled_job_raises_its_cancellation(agent, server):
    work, label = agent.work("hold"), uuid.uuid4().hex
    run = agent.running(work.kind("hold"), labels={"test": label})
    job_id = work.event(type="started")["job_id"]
    agent.send("cancel", job_id=job_id, reason="enough").ok()
    assert run.error("job_cancelled")["cancellation"] == {"reason": "enough", "forced": False}


def test_run_that_times_out_leaves_the_job_running(agent, server):
    work, label = agent.work("hold"), uuid.uuid4().hex
    run = agent.running(work.kind("hold"), labels={"test": label}, wait=1_000)
    job_id = work.event(type="started")["job_id"]
    run.error("not_finished")
    assert one_job(server, label).job_id == job_id
    assert agent.state(job_id) == "RUNNING"
    agent.release(job_id, as_json("continued"))
    assert read_json(agent.result(job_id)) == "continued"


def test_run_resumes_after_connection_cuts(agent, server, proxy):
    work, label = agent.work("hold"), uuid.uuid4().hex
    agent.connect(proxy.address)
    run = agent.running(work.kind("hold"), labels={"test": label}, retention=60_000)
    job_id = work.event(type="started")["job_id"]
    for cuts in range(1, 4):
        proxy.wait_for(accepted=cuts)
        proxy.cut()
    proxy.wait_for(accepted=4)
    agent.release(job_id, as_json("at last"))
    assert read_json(run.ok()["payload"]) == "at last"


def test_outcome_during_a_disconnect_is_received_after_it(agent, server, proxy):
    work, label = agent.work("hold"), uuid.uuid4().hex
    agent.connect(proxy.address)
    run = agent.running(work.kind("hold"), labels={"test": label}, retention=60_000)
    job_id = work.event(type="started")["job_id"]
    proxy.refuse()
    proxy.cut()
    agent.release(job_id, as_json("ready"))
    assert server.raw.wait(job_id, seconds=10) is not None
    proxy.accept()
    assert read_json(run.ok()["payload"]) == "ready"


def test_run_after_a_lost_response_is_one_job(agent, server, proxy):
    work, label = agent.work("hold"), uuid.uuid4().hex
    agent.connect(proxy.address)
    # Waits until the concurrent boot id lookup of the client has ended.
    agent.state(agent.submit("stays-queued"))
    proxy.cut_on_response()
    run = agent.running(work.kind("hold"), labels={"test": label})
    proxy.wait_for(cuts=1, refused=1)
    job_id = one_job(server, label).job_id
    proxy.accept()
    work.wait_started(job_id)
    agent.release(job_id, as_json("once"))
    assert read_json(run.ok()["payload"]) == "once"
    assert one_job(server, label).job_id == job_id


def test_rejected_run_has_the_violations(agent):
    error = agent.running("not a kind").error("invalid_request")
    assert error["violations"] == ["job.kind"]


def test_run_without_a_server_is_unavailable(agent, proxy):
    proxy.refuse()
    agent.connect(proxy.address, tries=2)
    agent.running("echo").error("unavailable")
