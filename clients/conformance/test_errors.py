"""Tests every error of clients/README.md."""

import time
import uuid

import grpc
import pytest

from agent import as_json, as_text, read_json
from server import unused_address


@pytest.mark.parametrize("op", ["state", "result", "watch", "cancel"])
def test_unknown_job(agent, op):
    unknown = str(uuid.uuid4())
    fields = {"reason": ""} if op == "cancel" else {}
    error = agent.send(op, job_id=unknown, **fields).error("job_not_found")
    assert error["reason"] == "JOB_NOT_FOUND" and unknown in error["message"]


@pytest.mark.parametrize("op", ["submit", "run", "state", "result", "watch", "cancel", "retry", "delete"])
@pytest.mark.parametrize("job_id", ["order-123", "0190c0de-0000-7000-8000-00000000000"], ids=repr)
def test_malformed_job_id_is_rejected_without_a_call(agent, op, job_id):
    agent.connect(unused_address(), tries=1)
    fields = {"submit": {"kind": "any", "payload": as_json(1)}, "cancel": {"reason": ""}}
    fields["run"] = fields["submit"]
    error = agent.send(op, job_id=job_id, **fields.get(op, {})).error("invalid_argument")
    assert job_id in error["message"] and "UUID" in error["message"]


@pytest.mark.parametrize("op", ["state", "result", "watch", "cancel"])
def test_job_that_a_restart_lost(agent, new_server, op):
    server = new_server()
    agent.connect(server.address)
    job_id = agent.submit("stays-queued")
    # Waits until the concurrent boot id lookup of the client has ended.
    agent.send("result", job_id=job_id, timeout=300).error("not_finished")
    server.kill()
    server.start()
    fields = {"reason": ""} if op == "cancel" else {}
    agent.send(op, job_id=job_id, **fields).error("server_restarted")


@pytest.mark.parametrize("op", ["result", "watch"])
def test_restart_while_waiting(agent, new_server, op):
    server = new_server()
    agent.connect(server.address)
    job_id = agent.submit("stays-queued")
    agent.send("result", job_id=job_id, timeout=300).error("not_finished")
    waiting = agent.send(op, job_id=job_id)
    if op == "watch":
        waiting.event(type="state", state="QUEUED")
    server.kill()
    server.start()
    waiting.error("server_restarted")


def test_unknown_job_is_not_reported_as_a_restart(agent, new_server):
    server = new_server()
    agent.connect(server.address)
    agent.send("result", job_id=agent.submit("stays-queued"), timeout=300).error("not_finished")
    server.kill()
    server.start()
    agent.send("state", job_id=str(uuid.uuid4())).error("job_not_found")


@pytest.mark.parametrize("op", ["state", "result", "watch"])
def test_expired_result(agent, server, op):
    work = agent.work("echo")
    job_id = agent.submit(work.kind("echo"), retention=1)
    wait_until_gone(server, job_id)
    assert agent.send(op, job_id=job_id).error("result_expired")["reason"] == "RESULT_EXPIRED"


def wait_until_gone(server, job_id):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            server.raw.job(job_id)
        except grpc.RpcError:
            return
        time.sleep(0.02)
    raise AssertionError("the job outlived its retention by 20 s")


def test_every_violation_is_listed(agent):
    broken = {"kind": "no spaces here", "queue": "nor here", "priority": 1000, "labels": {"": "x"}}
    error = agent.send("submit", payload=as_json(1), **broken).error("invalid_request")
    assert error["reason"] == "INVALID_FIELD"
    assert {"job.kind", "job.queue", "job.priority"} <= set(error["violations"])
    assert len(error["violations"]) >= 4


def test_payload_over_the_limit(agent):
    large = as_text("x" * (2 << 20))
    error = agent.send("submit", kind="stays-queued", payload=large).error("invalid_request")
    assert error["reason"] == "PAYLOAD_TOO_LARGE" and error["violations"] == ["job.payload"]
    assert "2097152" in error["message"] and "1048576" in error["message"], "the message has the size and the limit"


def test_message_over_the_limit(agent):
    """The server rejects messages above 4 MiB and names no field."""
    agent.send("submit", kind="stays-queued", payload=as_text("x" * (5 << 20))).error("invalid_request")


def test_full_server(agent, new_server):
    full = new_server("--jobs-max", "1")
    agent.connect(full.address, tries=2, call_timeout=20_000)
    label = uuid.uuid4().hex
    agent.submit("stays-queued", labels={"test": label})
    second = agent.send("submit", kind="stays-queued", payload=as_json(1), labels={"test": label})
    assert second.error("resource_exhausted")["reason"] == "QUEUE_FULL"
    assert len(full.raw.labelled(test=label)) == 1


def test_full_server_is_retried(agent, new_server):
    full = new_server("--jobs-max", "1")
    agent.connect(full.address)
    first = agent.submit("stays-queued")
    second = agent.send("submit", kind="stays-queued", payload=as_json(1))
    assert not second.responded.wait(0.3), "the client is still retrying"
    agent.send("cancel", job_id=first, reason="frees capacity").ok()
    second.ok()


def test_unreachable_server(agent):
    agent.connect(unused_address(), tries=2)
    error = agent.send("submit", kind="stays-queued", payload=as_json(1)).error("unavailable")
    assert "127.0.0.1" in error["message"], "the message has the address"


def test_watch_reconnects_until_patience_has_passed(agent):
    agent.connect(unused_address(), tries=2, patience=1_500)
    began = time.monotonic()
    agent.watch(str(uuid.uuid4())).error("unavailable")
    assert 0.2 < time.monotonic() - began < 10


def test_draining_server(agent, new_server):
    server = new_server("--drain-timeout", "20s")
    agent.connect(server.address, tries=2)
    work = agent.work("ignore_cancel")
    job_id = work.hold("ignore_cancel")
    server.drain()
    wait_until_draining(server)
    agent.send("submit", kind="stays-queued", payload=as_json(1)).error("unavailable")
    agent.release(job_id)


def wait_until_draining(server):
    """Waits until the server is draining or rejects calls."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if server.raw.draining():
                return
        except grpc.RpcError:
            return
        time.sleep(0.02)
    raise AssertionError("the server does not drain")


def test_no_response_in_time(agent, proxy):
    agent.connect(proxy.address, call_timeout=700)
    job_id = agent.submit("stays-queued")
    proxy.stall(new=True)
    began = time.monotonic()
    agent.send("state", job_id=job_id).error("deadline_exceeded")
    assert 0.5 < time.monotonic() - began < 5
    proxy.flow()


def failed(agent, kind, mode, message="broken", **options):
    job_id = agent.submit(kind, as_json({"mode": mode, "message": message}), **options)
    return job_id, agent.send("result", job_id=job_id).error("job_failed")["failure"]


def test_failure_has_all_fields(agent):
    work = agent.work("fail")
    _, failure = failed(agent, work.kind("fail"), "error")
    assert failure["type"]
    assert "broken" in failure["message"]
    assert (failure["reason"], failure["attempt"], failure["retryable"]) == ("HANDLER", 1, True)


def test_ordinary_error_is_retried(agent):
    work = agent.work("fail")
    _, failure = failed(agent, work.kind("fail"), "error", max_attempts=2)
    assert failure["attempt"] == 2


def test_initial_backoff_sets_the_delay(agent, server):
    work = agent.work("fail")
    job_id, failure = failed(agent, work.kind("fail"), "error", max_attempts=2, initial_backoff=50)
    assert failure["attempt"] == 2
    job = server.raw.job(job_id)
    first, second = job.attempts
    assert job.spec.retry.initial_backoff.ToMilliseconds() == 50
    assert second.start_time.ToMilliseconds() - first.finish_time.ToMilliseconds() < 700, "the default is 1 s"


def test_permanent_error_is_not_retried(agent):
    work = agent.work("fail")
    _, failure = failed(agent, work.kind("fail"), "permanent", max_attempts=2)
    assert (failure["attempt"], failure["retryable"]) == (1, False)
    assert "broken" in failure["message"]


def test_retry_later_sets_the_delay(agent, server):
    work = agent.work("fail")
    job_id, failure = failed(agent, work.kind("fail"), "later", max_attempts=2)
    assert failure["attempt"] == 2
    first, second = server.raw.job(job_id).attempts
    pause = second.start_time.ToMilliseconds() - first.finish_time.ToMilliseconds()
    assert 45 <= pause < 700, "the handler requested 50 ms; the policy of the job has 1 s"


def test_panic_fails_only_its_job(agent):
    work = agent.work("fail", "echo", slots=1)
    _, failure = failed(agent, work.kind("fail"), "panic")
    assert failure["reason"] in ("PANIC", "HANDLER") and "broken" in failure["message"]
    assert read_json(agent.result(agent.submit(work.kind("echo"), as_json("alive")))) == "alive"


def test_typed_input_is_decoded(agent):
    work = agent.work("typed")
    assert read_json(agent.result(agent.submit(work.kind("typed"), as_json({"width": 21})))) == 42


@pytest.mark.parametrize("payload", [as_json({"width": "wide"}), as_json({}), as_json({"width": 1.5})], ids=str)
def test_mismatched_input_names_the_field(agent, payload):
    work = agent.work("typed")
    job_id = agent.submit(work.kind("typed"), payload, max_attempts=2)
    failure = agent.send("result", job_id=job_id).error("job_failed")["failure"]
    assert (failure["reason"], failure["retryable"], failure["attempt"]) == ("BAD_PAYLOAD", False, 1)
    assert "width" in failure["message"]


def test_input_that_is_not_json_is_a_bad_payload(agent):
    work = agent.work("typed")
    job_id = agent.submit(work.kind("typed"), as_text("neither"))
    assert agent.send("result", job_id=job_id).error("job_failed")["failure"]["reason"] == "BAD_PAYLOAD"
