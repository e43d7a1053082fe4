"""Tests the worker rules of docs/protocol.md."""

import time
import uuid

import pytest

from agent import as_data, as_json, as_text, read_json
from stubs import job as job_pb2

QUICK_LEASES = ["--worker-lease", "2s", "--worker-ping-interval", "300ms", "--worker-reconnect-grace", "100ms"]
LONG_GRACE = ["--worker-reconnect-grace", "20s"]


@pytest.mark.parametrize("payload", [as_json([1, "a"]), as_text("text"), as_data(bytes(256))], ids=lambda p: p["type"])
def test_echo_of_every_payload(agent, payload):
    work = agent.work("echo")
    result = agent.result(agent.submit(work.kind("echo"), payload))
    assert result == payload if payload["type"] != "json" else read_json(result) == read_json(payload)


def test_handler_receives_the_fields_of_its_job(agent):
    work = agent.work("info")
    options = {"queue": "other", "headers": {"traceparent": "00-1"}, "attempt_timeout": 60_000}
    job_id = agent.submit(work.kind("info"), **options)
    info = read_json(agent.result(job_id))
    left = info.pop("deadline")
    expected = {"job_id": job_id, "attempt": 1, "kind": work.kind("info"), "queue": "other"}
    assert info == {**expected, "headers": {"traceparent": "00-1"}}
    assert 50_000 < left <= 60_000


def test_trace_context_without_its_parts_over_the_limits(agent):
    kind = agent.work("trace").kind("trace")
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    # Valid by the W3C: a value of a tracestate has at most 256 characters, a name and value of a baggage 4,096.
    tracestate, baggage = f"v1={'a' * 252},v2={'a' * 253}", f"name={'b' * 4091}"
    largest = {"traceparent": traceparent, "tracestate": tracestate, "baggage": baggage}
    assert read_json(agent.result(agent.submit(kind, trace_context=largest))) == largest
    larger = {"traceparent": traceparent, "tracestate": tracestate + "a", "baggage": baggage + ",c=1"}
    job_id = agent.submit(kind, trace_context=larger)
    assert read_json(agent.result(job_id)) == {"traceparent": traceparent, "tracestate": "", "baggage": ""}


def test_one_worker_serves_several_kinds(agent):
    work = agent.work("echo", "info", "typed", "emit")
    jobs = [agent.submit(work.kind("echo"), as_json(i)) for i in range(20)]
    doubles = [agent.submit(work.kind("typed"), as_json({"width": i})) for i in range(20)]
    assert [read_json(agent.result(job_id)) for job_id in jobs] == list(range(20))
    assert [read_json(agent.result(job_id)) for job_id in doubles] == list(range(0, 40, 2))


def test_slots_limit_concurrent_attempts(agent, server):
    work = agent.work("hold", slots=2)
    jobs = [agent.submit(work.kind("hold")) for _ in range(3)]
    for job_id in jobs[:2]:
        work.wait_started(job_id)
    third = server.raw.job(jobs[2])
    assert third.state == job_pb2.JOB_STATE_QUEUED
    assert third.wait_reason == job_pb2.WAIT_REASON_WORKERS_BUSY
    agent.release(jobs[0])
    work.wait_started(jobs[2])
    for job_id in jobs[1:]:
        agent.release(job_id)
    for job_id in jobs:
        agent.result(job_id)


def test_watch_returns_the_events_of_a_handler_in_order(agent):
    work = agent.work("emit")
    job_id = agent.submit(work.kind("emit"), as_json({"chunks": 20}))
    items = agent.watch(job_id).events()
    assert read_json(agent.result(job_id)) == 20
    # Progress may be replaced by newer progress; output and log lines keep their order.
    emitted = [item.get("text") or item["payload"]["text"] for item in items if item["type"] in ("output", "log")]
    assert emitted == [text for i in range(1, 21) for text in (f"chunk {i}", f"line {i}")]
    newest = [item for item in items if item["type"] == "progress"][-1]
    assert (newest["fraction"], newest["message"]) == (1, "step 20")


def test_cancellation_reaches_only_its_handler(agent):
    work = agent.work("hold")
    cancelled, other = work.hold(), work.hold()
    agent.send("cancel", job_id=cancelled, reason="").ok()
    work.wait_cancelled(cancelled)
    agent.release(other, as_json("untouched"))
    assert read_json(agent.result(other)) == "untouched"


def test_attempt_timeout_reaches_the_handler(agent):
    work = agent.work("hold")
    job_id = work.hold(attempt_timeout=400)
    work.wait_cancelled(job_id)
    failure = agent.send("result", job_id=job_id).error("job_failed")["failure"]
    assert failure["reason"] == "ATTEMPT_TIMEOUT"


def test_late_result_under_a_lost_lease_is_discarded(agent, new_server, new_proxy):
    server = new_server(*QUICK_LEASES)
    proxy = new_proxy(server.address)
    agent.connect(server.address)
    first = agent.work("ignore_cancel", address=proxy.address)
    kind = first.kind("ignore_cancel")
    job_id = first.hold("ignore_cancel")
    proxy.stall(new=True)
    agent.work("info", kinds=[kind])
    assert read_json(agent.result(job_id))["attempt"] == 2
    sequence = server.raw.job(job_id).sequence
    agent.release(job_id, as_json("too late"))
    proxy.flow()
    first.wait_connected()
    first.drain()
    after = server.raw.job(job_id)
    assert after.sequence == sequence and len(after.attempts) == 2
    assert read_json(agent.result(job_id))["attempt"] == 2


def test_worker_cancels_attempts_whose_leases_expired(agent, new_server, new_proxy):
    server = new_server(*QUICK_LEASES)
    proxy = new_proxy(server.address)
    agent.connect(server.address)
    work = agent.work("hold", address=proxy.address)
    job_id = work.hold()
    proxy.stall(new=True)
    began = time.monotonic()
    work.wait_cancelled(job_id)
    assert time.monotonic() - began < 8, "the worker cancels the attempt itself once the lease has expired"
    proxy.flow()
    # The job is assigned again. The lost attempt counts.
    work.wait_started(job_id, attempt=2)
    agent.release(job_id)
    agent.result(job_id)


def test_first_assignment_survives_a_lost_response(agent, proxy):
    kind = f"echo-{uuid.uuid4().hex[:8]}"
    job_id = agent.submit(kind, as_json("not lost"))
    proxy.cut_on_response()
    work = agent.start_work("echo", kinds=[kind], address=proxy.address)
    proxy.wait_for(cuts=1, refused=1)
    proxy.accept()
    work.wait_connected()
    assert read_json(agent.result(job_id, timeout=20)) == "not lost", "a lease lasts 30 s"


def test_attempt_continues_after_a_reconnect(agent, new_server, new_proxy):
    server = new_server(*LONG_GRACE)
    proxy = new_proxy(server.address)
    agent.connect(server.address)
    work = agent.work("hold", address=proxy.address)
    job_id = work.hold()
    proxy.refuse()
    proxy.cut()
    proxy.wait_for(refused=1)
    proxy.accept()
    work.wait_connected()
    agent.release(job_id, as_json("continued"))
    assert read_json(agent.result(job_id)) == "continued"
    assert len(server.raw.job(job_id).attempts) == 1


def test_result_of_a_disconnect_is_sent_after_the_reconnect(agent, new_server, new_proxy):
    server = new_server(*LONG_GRACE)
    proxy = new_proxy(server.address)
    agent.connect(server.address)
    work = agent.work("hold", address=proxy.address)
    job_id = work.hold()
    proxy.refuse()
    proxy.cut()
    proxy.wait_for(refused=1)
    agent.release(job_id, as_json("ready"))
    assert agent.state(job_id) == "RUNNING"
    proxy.accept()
    assert read_json(agent.result(job_id)) == "ready"
    assert len(server.raw.job(job_id).attempts) == 1


def test_reports_arrive_once_in_order_across_connection_cuts(agent, new_server, new_proxy):
    server = new_server(*LONG_GRACE)
    proxy = new_proxy(server.address)
    agent.connect(server.address)
    work = agent.work("emit", address=proxy.address)
    proxy.cut_after(3_000, "to the server")
    job_id = agent.submit(work.kind("emit"), as_json({"chunks": 100}))
    proxy.wait_for(cuts=1)
    proxy.cut_after(None, "to the server")
    assert read_json(agent.result(job_id)) == 100
    items = agent.watch(job_id).events()
    emitted = [item.get("text") or item["payload"]["text"] for item in items if item["type"] in ("output", "log")]
    assert emitted == [text for i in range(1, 101) for text in (f"chunk {i}", f"line {i}")]
    assert len(server.raw.job(job_id).attempts) == 1


def test_worker_reconnects_to_a_restarted_server(agent, new_server):
    server = new_server()
    agent.connect(server.address)
    work = agent.work("hold", "echo")
    job_id = work.hold()
    server.kill()
    server.start()
    work.wait_cancelled(job_id)
    assert read_json(agent.result(agent.submit(work.kind("echo"), as_json("again")))) == "again"


def test_operator_drains_a_worker(agent, server):
    work = agent.work("hold")
    job_id = work.hold()
    server.raw.drain_worker(work.name)
    agent.release(job_id, as_json("finished"))
    work.command.ok()
    assert read_json(agent.result(job_id)) == "finished"
    assert server.raw.workers(work.name) == []


def test_drained_worker_accepts_no_jobs_and_finishes_running_attempts(agent, server):
    work = agent.work("hold")
    job_id = work.hold()
    draining = agent.send("drain", target=work.command.number, within=20_000)
    assert not work.command.responded.wait(0.3), "an attempt is running"
    later = agent.submit(work.kind("hold"))
    agent.release(job_id, as_json("finished"))
    draining.ok()
    work.command.ok()
    assert read_json(agent.result(job_id)) == "finished"
    assert agent.state(later) == "QUEUED"
    agent.send("cancel", job_id=later, reason="").ok()


def test_draining_worker_releases_assignments_in_flight(agent, server, proxy):
    work = agent.work("hold", address=proxy.address)
    running = work.hold()
    proxy.stall("to the client")
    late = agent.submit(work.kind("hold"))
    server.raw.wait_worker(work.name, slots_taken=2)
    draining = agent.send("drain", target=work.command.number, within=20_000)
    server.raw.wait_worker(work.name, slots=0)
    proxy.flow()
    agent.work("info", kinds=[work.kind("hold")])
    assert read_json(agent.result(late, timeout=10))["attempt"] == 2
    assert not work.command.responded.is_set(), "an attempt is running"
    agent.release(running)
    draining.ok()
    work.command.ok()


def test_stopped_worker_releases_attempts_without_counting_them(agent):
    work = agent.work("hold")
    job_id = work.hold(payload=as_json({"mode": "error", "message": "twice"}), max_attempts=2)
    work.stop()
    agent.work("fail", kinds=[work.kind("hold")])
    failure = agent.send("result", job_id=job_id).error("job_failed")["failure"]
    assert failure["attempt"] == 3, "two attempts count, besides the released one"


def test_sigterm_waits_for_short_attempts_and_releases_long_ones(agent):
    work = agent.work("hold", signals=True, drain_timeout=1_500)
    short, long = work.hold(), work.hold()
    agent.terminate()
    agent.release(short, as_json("short"))
    assert read_json(agent.result(short)) == "short"
    work.wait_cancelled(long)
    work.command.ok()
    agent.work("info", kinds=[work.kind("hold")])
    assert read_json(agent.result(long))["attempt"] == 2


def test_worker_reconnects_after_a_server_shutdown(agent, new_server):
    server = new_server("--drain-timeout", "20s")
    agent.connect(server.address)
    work = agent.work("hold", "echo")
    job_id = work.hold()
    server.drain()
    agent.release(job_id)
    server.process.wait(20)
    server.start()
    work.wait_connected()
    assert read_json(agent.result(agent.submit(work.kind("echo"), as_json("back")))) == "back"


def test_job_over_the_receive_limit_of_a_worker_waits_for_another_worker(agent, new_server):
    server = new_server("--payload-bytes-max", "8MiB", "--message-bytes-max", "10MiB")
    agent.connect(server.address)
    small = agent.work("echo", message_bytes_max=1 << 20)
    kind = small.kind("echo")
    large_job = server.raw.submit_text(kind, "x" * (2 << 20))
    for n in range(3):
        assert read_json(agent.result(agent.submit(kind, as_json(n)))) == n
    assert server.raw.wait_reason(large_job) == "WORKER_LIMIT"
    small.stop()
    # The default limit is larger than any job of this server.
    agent.work("info", kinds=[kind])
    assert read_json(agent.result(large_job))["attempt"] == 1
