"""Tests interceptors: those around submits and those around handlers, the first of which is the outermost."""

import uuid

from agent import as_json, read_json


def test_submit_interceptors_change_the_payload_and_the_headers_in_their_order(agent, server):
    kind = agent.work("echo").kind("echo")
    agent.connect(server.address, interceptors=["a", "b"])
    job = {"kind": kind, "payload": as_json([])}
    assert read_json(agent.result(agent.submit(**job))) == ["a", "b"]
    assert read_json(agent.send("run", **job).ok()["payload"]) == ["a", "b"]
    for submitted in agent.send("batch", jobs=[job, job]).ok()["results"]:
        assert read_json(agent.result(submitted["job_id"])) == ["a", "b"]
    jobs = server.raw.of_kind(kind)
    assert [job.spec.headers["by"] for job in jobs] == ["ab"] * 4


def test_submit_interceptor_refuses_a_job_with_an_error(agent, server):
    kind = f"unserved-{uuid.uuid4().hex[:8]}"
    agent.connect(server.address, interceptors=["a", "refuse"])
    for op in ("submit", "run"):
        response = agent.send(op, kind=kind, payload=as_json([])).wait()
        assert "refused" in response["error"]["message"], response
    assert server.raw.of_kind(kind) == []


def test_handler_interceptors_change_the_input_and_the_result_in_their_order(agent):
    kind = agent.work("echo", interceptors=["c", "d"]).kind("echo")
    assert read_json(agent.result(agent.submit(kind, as_json([])))) == ["c", "d", "d", "c"]


def test_handler_interceptor_fails_the_attempt_with_an_error(agent):
    kind = agent.work("echo", interceptors=["c", "refuse"]).kind("echo")
    job_id = agent.submit(kind, as_json([]), max_attempts=1)
    failure = agent.send("result", job_id=job_id).error("job_failed")["failure"]
    assert (failure["message"], failure["reason"], failure["retryable"]) == ("refused", "HANDLER", True)
