"""Tests that a watch returns every event once, in order, across connection failures."""

import time
import uuid

from agent import as_json, as_text, read_json

HEARTBEAT = 1_000
"""The shortest heartbeat of the server in milliseconds. Three missed ones end a stream."""
CUT_BYTES = 6_000
CUTS = 4
"""Fewer than a full replay needs with this limit."""
CHUNKS = 300


def covered(items):
    """The sequences of the items, each once and in order. Only replaced progress may be missing without a gap."""
    sequences = []
    for item in items:
        if item["type"] == "gap":
            sequences.extend(range(item["first"], item["last"] + 1))
        else:
            sequences.append(item["sequence"])
    assert sequences == sorted(set(sequences)), "each sequence once, in order"
    return sequences


def assert_complete(items, chunks=CHUNKS):
    """Asserts that the items are all events of the `emit` behaviour, once and in order."""
    assert covered(items)[0] == 1
    outputs = [item for item in items if item["type"] == "output"]
    assert [item["payload"] for item in outputs] == [as_text(f"chunk {i}") for i in range(1, chunks + 1)]
    assert {item["channel"] for item in outputs} == {"out"}
    logs = [item for item in items if item["type"] == "log"]
    assert [item["text"] for item in logs] == [f"line {i}" for i in range(1, chunks + 1)]
    assert {item["level"] for item in logs} == {"warn"}
    progress = [item["fraction"] for item in items if item["type"] == "progress"]
    assert progress and progress == sorted(progress) and progress[-1] == 1
    states = [item["state"] for item in items if item["type"] == "state"]
    assert states == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert items[-1]["type"] == "state"


def emitted(agent, chunks=CHUNKS):
    """Runs a job that emits this many chunks; returns its id."""
    work = agent.work("emit")
    job_id = agent.submit(work.kind("emit"), as_json({"chunks": chunks}))
    assert read_json(agent.result(job_id)) == chunks
    return job_id


def test_live_watch_returns_every_event_once_in_order(agent):
    kind = f"emit-{uuid.uuid4().hex[:8]}"
    watch = agent.watch(agent.submit(kind, as_json({"chunks": CHUNKS})))
    watch.event(type="state", state="QUEUED", sequence=1)
    agent.work("emit", kinds=[kind])
    rest = watch.events()
    assert_complete([{"type": "state", "state": "QUEUED", "sequence": 1}, *rest])


def test_live_watch_resumes_after_connection_cuts(agent, proxy):
    kind = f"emit-{uuid.uuid4().hex[:8]}"
    work = agent.work("emit", kinds=[kind])
    proxy.cut_after(CUT_BYTES)
    agent.connect(proxy.address)
    watch = agent.watch(agent.submit(kind, as_json({"chunks": CHUNKS})))
    proxy.wait_for(cuts=CUTS)
    proxy.cut_after(None)
    assert_complete(watch.events())
    work.stop()


def test_replay_resumes_after_connection_cuts(agent, proxy):
    job_id = emitted(agent)
    proxy.cut_after(CUT_BYTES)
    agent.connect(proxy.address)
    watch = agent.watch(job_id)
    proxy.wait_for(cuts=CUTS)
    # A client that discards received data when its connection breaks needs many more cuts, which is correct too.
    proxy.cut_after(None)
    assert_complete(watch.events())


def test_watch_of_an_ended_job_replays_it(agent):
    job_id = emitted(agent, chunks=3)
    first, second = agent.watch(job_id).events(), agent.watch(job_id).events()
    assert_complete(first, chunks=3)
    assert first == second


def test_watch_resumes_after_a_sequence(agent):
    job_id = emitted(agent, chunks=5)
    items = agent.watch(job_id).events()
    for after in (1, items[-1]["sequence"] // 2, items[-1]["sequence"] - 1):
        rest = agent.watch(job_id, after=after).events()
        assert rest == [item for item in items if item["sequence"] > after]


def test_stalled_connection_is_detected_by_missing_heartbeats(agent, proxy):
    work = agent.work("hold")
    agent.connect(proxy.address)
    job_id = work.hold()
    watch = agent.watch(job_id, heartbeat=HEARTBEAT)
    watch.event(type="state", state="RUNNING")
    proxy.stall()
    began = time.monotonic()
    agent.release(job_id)
    watch.event(type="state", state="SUCCEEDED")
    # Faster than HTTP/2 keepalive would detect it.
    assert time.monotonic() - began < 12
    watch.ok()


def test_heartbeats_keep_an_idle_watch_open(agent, server, proxy):
    work = agent.work("hold")
    job_id = work.hold()
    agent.connect(proxy.address)
    watch = agent.watch(job_id, heartbeat=HEARTBEAT)
    watch.event(type="state", state="RUNNING")
    streams = proxy.responses
    # Longer than three heartbeats, after which a client that does not receive them would reconnect.
    assert server.raw.wait(job_id, seconds=4) is None
    assert proxy.responses == streams, "the watch was not reopened"
    agent.release(job_id)
    watch.event(type="state", state="SUCCEEDED")


def test_evicted_events_are_reported_as_a_gap(agent, new_server):
    small = new_server("--event-ring-bytes-max", "4KiB")
    agent.connect(small.address)
    items = agent.watch(emitted(agent)).events()
    lost = [item for item in items if item["type"] == "gap"]
    assert lost and all(item["first"] <= item["last"] for item in lost)
    assert covered(items)[0] == 1
    assert len([item for item in items if item["type"] == "output"]) < CHUNKS


def test_progress_has_the_units_that_the_worker_sent(agent, server):
    kind = f"counts-{uuid.uuid4().hex[:8]}"
    job_id = agent.submit(kind)
    counted = {"progress": {"done": 3, "total": 4}}
    server.raw.report(kind, counted, {"complete": {}})
    (progress,) = [item for item in agent.watch(job_id).events() if item["type"] == "progress"]
    assert (progress["done"], progress["total"], progress["fraction"]) == (3, 4, 0.75)
    assert server.raw.job(job_id).progress.fraction == 0.75, "the server derives the fraction, not the client"


def test_state_changes_have_the_failure_of_every_attempt(agent):
    kind = agent.work("fail").kind("fail")
    failing = as_json({"mode": "error", "message": "no luck"})
    job_id = agent.submit(kind, failing, max_attempts=2, initial_backoff=10)
    changes = [item for item in agent.watch(job_id).events() if item["type"] == "state"]
    failed = [(item["state"], item["attempt"]) for item in changes if item.get("failure") == "no luck"]
    assert failed == [("SCHEDULED", 1), ("FAILED", 2)]


def test_watch_of_an_unknown_job_fails_immediately(agent):
    began = time.monotonic()
    error = agent.watch(str(uuid.uuid4())).error("job_not_found")
    assert error["reason"] == "JOB_NOT_FOUND" and time.monotonic() - began < 5


def test_watch_can_be_stopped(agent):
    work = agent.work("hold")
    job_id = work.hold()
    watch = agent.watch(job_id)
    watch.event(type="state", state="RUNNING")
    agent.send("stop", target=watch.number).ok()
    watch.ok()
    assert agent.state(job_id) == "RUNNING"
    agent.release(job_id)


def test_two_watches_of_a_job_return_the_same_events(agent):
    work = agent.work("hold")
    job_id = work.hold()
    watches = [agent.watch(job_id) for _ in range(2)]
    for watch in watches:
        watch.event(type="state", state="RUNNING")
    agent.release(job_id)
    assert [watch.events()[-1]["state"] for watch in watches] == ["SUCCEEDED"] * 2


def test_wait_for_a_result_resumes_after_connection_cuts(agent, proxy):
    work = agent.work("hold")
    job_id = work.hold()
    agent.connect(proxy.address)
    waiting = agent.send("result", job_id=job_id)
    for cuts in range(1, 4):
        proxy.wait_for(accepted=cuts)
        proxy.cut()
    proxy.wait_for(accepted=4)
    agent.release(job_id, as_json("at last"))
    assert read_json(waiting.ok()["payload"]) == "at last"
