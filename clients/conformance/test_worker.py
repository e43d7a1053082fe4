"""A worker keeps every rule of docs/protocol.md, and one life of it hurts no other."""

import time

import pytest

from agent import as_data, as_json, as_text, read_json
from stubs import job as job_pb2

QUICK_LEASES = ["--worker-lease", "2s", "--worker-ping-interval", "300ms", "--worker-reconnect-grace", "100ms"]
LONG_GRACE = ["--worker-reconnect-grace", "20s"]


@pytest.mark.parametrize("payload", [as_json([1, "a"]), as_text("text"), as_data(bytes(256))], ids=lambda p: p["type"])
def test_echo_of_every_payload(agent, payload):
    work = agent.work("echo")
    answer = agent.result(agent.submit(work.kind("echo"), payload))
    assert answer == payload if payload["type"] != "json" else read_json(answer) == read_json(payload)


def test_handler_is_told_about_its_job(agent):
    work = agent.work("info")
    options = {"queue": "aside", "headers": {"traceparent": "00-1"}, "attempt_timeout": 60_000}
    job_id = agent.submit(work.kind("info"), **options)
    info = read_json(agent.result(job_id))
    left = info.pop("deadline")
    expected = {"job_id": job_id, "attempt": 1, "kind": work.kind("info"), "queue": "aside"}
    assert info == {**expected, "headers": {"traceparent": "00-1"}}
    assert 50_000 < left <= 60_000


def test_one_worker_serves_several_kinds(agent):
    work = agent.work("echo", "info", "typed", "tell")
    jobs = [agent.submit(work.kind("echo"), as_json(i)) for i in range(20)]
    doubles = [agent.submit(work.kind("typed"), as_json({"width": i})) for i in range(20)]
    assert [read_json(agent.result(job_id)) for job_id in jobs] == list(range(20))
    assert [read_json(agent.result(job_id)) for job_id in doubles] == list(range(0, 40, 2))


def test_slots_bound_what_runs_at_once(agent, server):
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


def test_what_a_handler_tells_is_seen_in_order(agent):
    work = agent.work("tell")
    job_id = agent.submit(work.kind("tell"), as_json({"chunks": 20}))
    items = agent.watch(job_id).events()
    assert read_json(agent.result(job_id)) == 20
    # Of progress only the newest need be seen; outputs and lines keep the order in which they were told.
    told = [item.get("text") or item["payload"]["text"] for item in items if item["type"] in ("output", "log")]
    assert told == [text for i in range(1, 21) for text in (f"chunk {i}", f"line {i}")]
    newest = [item for item in items if item["type"] == "progress"][-1]
    assert (newest["fraction"], newest["message"]) == (1, "step 20")


def test_cancel_reaches_only_its_handler(agent):
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


def test_late_end_under_a_lost_lease_changes_nothing(agent, new_server, new_proxy):
    server = new_server(*QUICK_LEASES)
    proxy = new_proxy(server.address)
    agent.connect(server.address)
    first = agent.work("deaf", address=proxy.address)
    kind = first.kind("deaf")
    job_id = first.hold("deaf")
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


def test_worker_that_lost_its_leases_stops_what_runs(agent, new_server, new_proxy):
    server = new_server(*QUICK_LEASES)
    proxy = new_proxy(server.address)
    agent.connect(server.address)
    work = agent.work("hold", address=proxy.address)
    job_id = work.hold()
    proxy.stall(new=True)
    began = time.monotonic()
    work.wait_cancelled(job_id)
    assert time.monotonic() - began < 8, "it fences itself once its lease passed, with nobody to tell it"
    proxy.flow()
    # Given to it again, and counted: its first attempt was lost.
    work.wait_started(job_id, attempt=2)
    agent.release(job_id)
    agent.result(job_id)


def test_reconnect_keeps_the_attempt(agent, new_server, new_proxy):
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
    agent.release(job_id, as_json("kept"))
    assert read_json(agent.result(job_id)) == "kept"
    assert len(server.raw.job(job_id).attempts) == 1


def test_result_that_was_ready_while_disconnected_arrives(agent, new_server, new_proxy):
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


def test_reports_survive_cuts_once_and_in_order(agent, new_server, new_proxy):
    server = new_server(*LONG_GRACE)
    proxy = new_proxy(server.address)
    agent.connect(server.address)
    work = agent.work("tell", address=proxy.address)
    proxy.cut_after(3_000, "to the server")
    job_id = agent.submit(work.kind("tell"), as_json({"chunks": 100}))
    proxy.wait_for(cuts=1)
    proxy.cut_after(None, "to the server")
    assert read_json(agent.result(job_id)) == 100
    items = agent.watch(job_id).events()
    told = [item.get("text") or item["payload"]["text"] for item in items if item["type"] in ("output", "log")]
    assert told == [text for i in range(1, 101) for text in (f"chunk {i}", f"line {i}")]
    assert len(server.raw.job(job_id).attempts) == 1


def test_restarted_server_gets_its_worker_back(agent, new_server):
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


def test_drained_worker_takes_nothing_more_and_finishes(agent, server):
    work = agent.work("hold")
    job_id = work.hold()
    draining = agent.send("drain", target=work.command.number, within=20_000)
    assert not work.command.answered.wait(0.3), "something runs"
    later = agent.submit(work.kind("hold"))
    agent.release(job_id, as_json("finished"))
    draining.ok()
    work.command.ok()
    assert read_json(agent.result(job_id)) == "finished"
    assert agent.state(later) == "QUEUED"
    agent.send("cancel", job_id=later, reason="").ok()


def test_stopped_worker_gives_everything_back_uncounted(agent):
    work = agent.work("hold")
    job_id = work.hold(payload=as_json({"mode": "error", "message": "twice"}), max_attempts=2)
    work.stop()
    agent.work("fail", kinds=[work.kind("hold")])
    failure = agent.send("result", job_id=job_id).error("job_failed")["failure"]
    assert failure["attempt"] == 3, "two attempts of its own, beside the one that was given back"


def test_sigterm_finishes_the_short_and_gives_back_the_long(agent):
    work = agent.work("hold", signals=True, drain_timeout=1_500)
    short, long = work.hold(), work.hold()
    agent.terminate()
    agent.release(short, as_json("short"))
    assert read_json(agent.result(short)) == "short"
    work.wait_cancelled(long)
    work.command.ok()
    agent.work("info", kinds=[work.kind("hold")])
    assert read_json(agent.result(long))["attempt"] == 2


def test_server_that_shuts_down_is_left_and_found_again(agent, new_server):
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


def test_job_larger_than_a_worker_reads_waits_for_another_and_holds_up_none(agent, new_server):
    server = new_server("--payload-bytes-max", "8MiB", "--message-bytes-max", "10MiB")
    agent.connect(server.address)
    small = agent.work("echo", message_bytes_max=1 << 20)
    kind = small.kind("echo")
    large_job = server.raw.submit_text(kind, "x" * (2 << 20))
    for n in range(3):
        assert read_json(agent.result(agent.submit(kind, as_json(n)))) == n
    assert server.raw.wait_reason(large_job) == "WORKER_LIMIT"
    small.stop()
    # Its default is larger than any job of this server.
    agent.work("info", kinds=[kind])
    assert read_json(agent.result(large_job))["attempt"] == 1
