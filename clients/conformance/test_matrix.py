"""Tests a worker in each language with jobs submitted in each language."""

import pytest

from agent import as_data, as_json, as_text, read_json

INEXACT_AS_DOUBLES = [2**53 + 1, 2**63 - 1, 2**64 - 1, -(2**63), 2**53 + 1 - 2**54]
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = {"traceparent": TRACEPARENT, "tracestate": "vendor=1,other=2", "baggage": "tenant=acme,name=J%C3%BCrgen"}
NO_TRACE = {"traceparent": "", "tracestate": "", "baggage": ""}
VALUE = {"exact": 2**63 - 1, "nested": [None, True, 1.5, "\u6f22\u5b57 \U0001f680"]}


@pytest.mark.parametrize("payload", [as_json(VALUE), as_text("\u6f22\u5b57 \U0001f680"), as_data(bytes(range(256)))], ids=lambda p: p["type"])
def test_payloads_are_the_same_in_every_language(agent, worker_agent, payload):
    work = worker_agent.work("echo")
    result = agent.result(agent.submit(work.kind("echo"), payload))
    assert result == payload if payload["type"] != "json" else read_json(result) == VALUE


@pytest.mark.parametrize(("done", "total", "fraction"), [(3, 4, 0.75), (5, 4, 1), (3, 0, None)])
def test_progress_of_units_has_a_fraction(agent, worker_agent, server, done, total, fraction):
    kind = worker_agent.work("count").kind("count")
    job_id = agent.submit(kind, as_json({"done": done, "total": total}))
    (progress,) = [item for item in agent.watch(job_id).events() if item["type"] == "progress"]
    assert (progress["done"], progress["total"], progress["unit"]) == (done, total, "steps")
    assert progress.get("fraction") == fraction
    sent = server.raw.job(job_id).progress
    assert (sent.fraction if sent.HasField("fraction") else None) == fraction


@pytest.mark.parametrize("number", INEXACT_AS_DOUBLES)
def test_integers_stay_exact_as_input_output_and_result(agent, worker_agent, server, number):
    value = {"id": number, "nested": [{"ids": [number]}]}
    work = worker_agent.work("stream")
    job_id = agent.submit(work.kind("stream"), as_json(value))
    chunks = [item["payload"] for item in agent.watch(job_id).events() if item["type"] == "output"]
    assert [read_json(chunk) for chunk in chunks] == [value]
    assert read_json(agent.result(job_id)) == value
    job = server.raw.job(job_id)
    for payload in (job.spec.payload, job.outcome.result):
        assert payload.text.count(str(number)) == 2, payload


def test_trace_context_of_a_submit_reaches_the_handler(agent, worker_agent):
    kind = worker_agent.work("trace").kind("trace")
    for given in (TRACE, {"traceparent": TRACEPARENT}, {"baggage": TRACE["baggage"]}, {}):
        job_id = agent.submit(kind, trace_context=given)
        assert read_json(agent.result(job_id)) == NO_TRACE | given
