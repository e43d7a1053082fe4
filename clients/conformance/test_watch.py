"""A watch tells every event once, in order, whatever happens to its connection."""

import time
import uuid

from agent import as_json, as_text, read_json

HEARTBEAT = 1_000
"""The shortest a server allows, in milliseconds: three silent ones end a stream."""
CUT_BYTES = 6_000
CUTS = 4
"""Fewer than it takes to tell everything in such pieces."""
CHUNKS = 300


def covered(items):
    """The sequences that the items stand for, once each and in order. Only progress that newer progress replaced may
    be missing: that is not told."""
    sequences = []
    for item in items:
        if item["type"] == "gap":
            sequences.extend(range(item["from"], item["to"] + 1))
        else:
            sequences.append(item["sequence"])
    assert sequences == sorted(set(sequences)), "once, and in order"
    return sequences


def assert_whole(items, chunks=CHUNKS):
    """Everything that `tell` told, once and in order."""
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


def told(agent, chunks=CHUNKS):
    """A finished job that told this much."""
    work = agent.work("tell")
    job_id = agent.submit(work.kind("tell"), as_json({"chunks": chunks}))
    assert read_json(agent.result(job_id)) == chunks
    return job_id


def test_every_event_of_a_live_job_is_told_once_in_order(agent):
    kind = f"tell-{uuid.uuid4().hex[:8]}"
    watch = agent.watch(agent.submit(kind, as_json({"chunks": CHUNKS})))
    watch.event(type="state", state="QUEUED", sequence=1)
    agent.work("tell", kinds=[kind])
    rest = watch.events()
    assert_whole([{"type": "state", "state": "QUEUED", "sequence": 1}, *rest])


def test_live_watch_survives_cuts(agent, proxy):
    kind = f"tell-{uuid.uuid4().hex[:8]}"
    work = agent.work("tell", kinds=[kind])
    proxy.cut_after(CUT_BYTES)
    agent.connect(proxy.address)
    watch = agent.watch(agent.submit(kind, as_json({"chunks": CHUNKS})))
    proxy.wait_for(cuts=CUTS)
    proxy.cut_after(None)
    assert_whole(watch.events())
    work.stop()


def test_replay_survives_cuts(agent, proxy):
    job_id = told(agent)
    proxy.cut_after(CUT_BYTES)
    agent.connect(proxy.address)
    watch = agent.watch(job_id)
    proxy.wait_for(cuts=CUTS)
    # A client that drops what had arrived when its connection broke needs hundreds of them, and is right all the same.
    proxy.cut_after(None)
    assert_whole(watch.events())


def test_watch_of_an_ended_job_replays_it(agent):
    job_id = told(agent, chunks=3)
    first, second = agent.watch(job_id).events(), agent.watch(job_id).events()
    assert_whole(first, chunks=3)
    assert first == second


def test_watch_goes_on_after_a_sequence(agent):
    job_id = told(agent, chunks=5)
    items = agent.watch(job_id).events()
    for after in (1, items[-1]["sequence"] // 2, items[-1]["sequence"] - 1):
        rest = agent.watch(job_id, after=after).events()
        assert rest == [item for item in items if item["sequence"] > after]


def test_silent_connection_is_noticed_by_its_missing_heartbeats(agent, proxy):
    work = agent.work("hold")
    agent.connect(proxy.address)
    job_id = work.hold()
    watch = agent.watch(job_id, heartbeat=HEARTBEAT)
    watch.event(type="state", state="RUNNING")
    proxy.stall()
    began = time.monotonic()
    agent.release(job_id)
    watch.event(type="state", state="SUCCEEDED")
    # Sooner than an HTTP/2 PING would tell.
    assert time.monotonic() - began < 12
    watch.ok()


def test_quiet_watch_is_kept_alive_by_heartbeats(agent, server, proxy):
    work = agent.work("hold")
    job_id = work.hold()
    agent.connect(proxy.address)
    watch = agent.watch(job_id, heartbeat=HEARTBEAT)
    watch.event(type="state", state="RUNNING")
    streams = proxy.answers
    # Longer than three of them, which is when a client that does not count them would come back.
    assert server.raw.wait(job_id, seconds=4) is None
    assert proxy.answers == streams, "the watch was not opened anew"
    agent.release(job_id)
    watch.event(type="state", state="SUCCEEDED")


def test_gap_is_told(agent, new_server):
    small = new_server("--event-ring-bytes-max", "4KiB")
    agent.connect(small.address)
    items = agent.watch(told(agent)).events()
    lost = [item for item in items if item["type"] == "gap"]
    assert lost and all(item["from"] <= item["to"] for item in lost)
    assert covered(items)[0] == 1
    assert len([item for item in items if item["type"] == "output"]) < CHUNKS


def test_watch_of_an_unknown_job_fails_at_once(agent):
    began = time.monotonic()
    error = agent.watch(str(uuid.uuid4())).error("job_not_found")
    assert error["reason"] == "JOB_NOT_FOUND" and time.monotonic() - began < 5


def test_watch_can_be_left(agent):
    work = agent.work("hold")
    job_id = work.hold()
    watch = agent.watch(job_id)
    watch.event(type="state", state="RUNNING")
    agent.send("stop", target=watch.number).ok()
    watch.ok()
    assert agent.state(job_id) == "RUNNING"
    agent.release(job_id)


def test_two_watches_of_a_job_tell_the_same(agent):
    work = agent.work("hold")
    job_id = work.hold()
    watches = [agent.watch(job_id) for _ in range(2)]
    for watch in watches:
        watch.event(type="state", state="RUNNING")
    agent.release(job_id)
    assert [watch.events()[-1]["state"] for watch in watches] == ["SUCCEEDED"] * 2


def test_wait_for_a_result_survives_cuts(agent, proxy):
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
