"""Every error of clients/README.md, from where it comes."""

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


@pytest.mark.parametrize("op", ["state", "result", "watch", "cancel"])
def test_job_that_a_restart_lost(agent, new_server, op):
    server = new_server()
    agent.connect(server.address)
    job_id = agent.submit("stays-queued")
    # Time enough for what a client asks beside its first submit.
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


def test_unknown_job_is_no_restart(agent, new_server):
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


def test_too_large_a_payload(agent):
    large = as_text("x" * (2 << 20))
    error = agent.send("submit", kind="stays-queued", payload=large).error("invalid_request")
    assert error["reason"] == "PAYLOAD_TOO_LARGE" and error["violations"] == ["job.payload"]
    assert "2097152" in error["message"] and "1048576" in error["message"], "it names size and limit"


def test_too_large_a_message(agent):
    """The server reads no message above 4 MiB, and names no field of it."""
    agent.send("submit", kind="stays-queued", payload=as_text("x" * (5 << 20))).error("invalid_request")


def test_full_server(agent, new_server):
    full = new_server("--jobs-max", "1")
    agent.connect(full.address, tries=2, call_timeout=20_000)
    label = uuid.uuid4().hex
    agent.submit("stays-queued", labels={"test": label})
    second = agent.send("submit", kind="stays-queued", payload=as_json(1), labels={"test": label})
    assert second.error("resource_exhausted")["reason"] == "QUEUE_FULL"
    assert len(full.raw.labelled(test=label)) == 1


def test_full_server_is_tried_again(agent, new_server):
    full = new_server("--jobs-max", "1")
    agent.connect(full.address)
    first = agent.submit("stays-queued")
    second = agent.send("submit", kind="stays-queued", payload=as_json(1))
    assert not second.answered.wait(0.3), "it has tries left"
    agent.send("cancel", job_id=first, reason="makes room").ok()
    second.ok()


def test_nobody_answers(agent):
    agent.connect(unused_address(), tries=2)
    error = agent.send("submit", kind="stays-queued", payload=as_json(1)).error("unavailable")
    assert "127.0.0.1" in error["message"], "it names the address"


def test_watch_looks_for_a_server_as_long_as_patience_lasts(agent):
    agent.connect(unused_address(), tries=2, patience=1_500)
    began = time.monotonic()
    agent.watch(str(uuid.uuid4())).error("unavailable")
    assert 0.2 < time.monotonic() - began < 10


def test_draining_server(agent, new_server):
    server = new_server("--drain-timeout", "20s")
    agent.connect(server.address, tries=2)
    work = agent.work("deaf")
    job_id = work.hold("deaf")
    server.drain()
    server_says_so(server)
    agent.send("submit", kind="stays-queued", payload=as_json(1)).error("unavailable")
    agent.release(job_id)


def server_says_so(server):
    """Waits until the server drains, or takes no calls because of it."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if server.raw.draining():
                return
        except grpc.RpcError:
            return
        time.sleep(0.02)
    raise AssertionError("the server does not drain")


def test_no_answer_in_time(agent, proxy):
    agent.connect(proxy.address, call_timeout=700)
    job_id = agent.submit("stays-queued")
    proxy.stall(new=True)
    began = time.monotonic()
    agent.send("state", job_id=job_id).error("deadline_exceeded")
    assert 0.5 < time.monotonic() - began < 5
    proxy.flow()


def failed(agent, kind, mode, message="it broke", **options):
    job_id = agent.submit(kind, as_json({"mode": mode, "message": message}), **options)
    return job_id, agent.send("result", job_id=job_id).error("job_failed")["failure"]


def test_failure_is_told_whole(agent):
    work = agent.work("fail")
    _, failure = failed(agent, work.kind("fail"), "error")
    assert failure["type"]
    assert "it broke" in failure["message"]
    assert (failure["reason"], failure["attempt"], failure["retryable"]) == ("HANDLER", 1, True)


def test_ordinary_error_is_tried_again(agent):
    work = agent.work("fail")
    _, failure = failed(agent, work.kind("fail"), "error", max_attempts=2)
    assert failure["attempt"] == 2


def test_permanent_error_is_not_tried_again(agent):
    work = agent.work("fail")
    _, failure = failed(agent, work.kind("fail"), "permanent", max_attempts=2)
    assert (failure["attempt"], failure["retryable"]) == (1, False)
    assert "it broke" in failure["message"]


def test_later_names_its_own_pause(agent, server):
    work = agent.work("fail")
    job_id, failure = failed(agent, work.kind("fail"), "later", max_attempts=2)
    assert failure["attempt"] == 2
    first, second = server.raw.job(job_id).attempts
    pause = second.start_time.ToMilliseconds() - first.finish_time.ToMilliseconds()
    assert 45 <= pause < 700, "50 ms were asked for; the policy of the job has a second"


def test_worst_of_errors_leaves_the_worker_at_work(agent):
    work = agent.work("fail", "echo", slots=1)
    _, failure = failed(agent, work.kind("fail"), "panic")
    assert failure["reason"] in ("PANIC", "HANDLER") and "it broke" in failure["message"]
    assert read_json(agent.result(agent.submit(work.kind("echo"), as_json("alive")))) == "alive"


def test_typed_input_is_read(agent):
    work = agent.work("typed")
    assert read_json(agent.result(agent.submit(work.kind("typed"), as_json({"width": 21})))) == 42


@pytest.mark.parametrize("payload", [as_json({"width": "wide"}), as_json({}), as_json({"width": 1.5})], ids=str)
def test_input_of_the_wrong_type_names_the_field(agent, payload):
    work = agent.work("typed")
    job_id = agent.submit(work.kind("typed"), payload, max_attempts=2)
    failure = agent.send("result", job_id=job_id).error("job_failed")["failure"]
    assert (failure["reason"], failure["retryable"], failure["attempt"]) == ("BAD_PAYLOAD", False, 1)
    assert "width" in failure["message"]


def test_input_that_is_no_json_is_a_bad_payload(agent):
    work = agent.work("typed")
    job_id = agent.submit(work.kind("typed"), as_text("neither"))
    assert agent.send("result", job_id=job_id).error("job_failed")["failure"]["reason"] == "BAD_PAYLOAD"
