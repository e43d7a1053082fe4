"""Tests a feed: the state changes of all jobs that match a filter, each once and in order."""

import uuid

STATES = ["QUEUED", "RUNNING", "SUCCEEDED"]
"""The states of a job that succeeds."""
JOBS = 300
CUT_BYTES = 6_000
CUTS = 2
"""Fewer than the changes of these jobs need with this limit."""


def assert_changes(feed, expected):
    """Asserts that the next items are changes of these jobs to these states."""
    items = [feed.next_event() for _ in expected]
    assert {item["type"] for item in items} == {"change"}, items
    assert [(item["job_id"], item["event"]["state"]) for item in items] == expected


def queued(job_ids):
    return [(job_id, "QUEUED") for job_id in job_ids]


def assert_succeeds(feed, job_id):
    assert_changes(feed, [(job_id, state) for state in STATES])


def test_feed_has_the_changes_that_match_its_filter(agent, server):
    part = uuid.uuid4().hex[:8]
    kind, queue, labels = f"unserved-{part}", f"queue-{part}", {"part": part, "other": "1"}
    begin = server.raw.feed_cursor()
    all_match = agent.submit(kind, queue=queue, labels=labels)
    of_kind = agent.submit(kind)
    in_queue = agent.submit(f"another-{part}", queue=queue)
    labelled = agent.submit(f"another-{part}", labels=labels)
    agent.send("cancel", job_id=all_match, reason="").ok()
    filters = {"kind": kind, "queue": queue, "labels": {"part": part}}
    for field, other in [("kind", of_kind), ("queue", in_queue), ("labels", labelled)]:
        feed = agent.feed(after_cursor=begin, states=["QUEUED"], **{field: filters[field]})
        assert_changes(feed, queued([all_match, other]))
    feed = agent.feed(after_cursor=begin, states=["RUNNING", "CANCELLED"], **filters)
    change = feed.next_event()
    assert (change["job_id"], change["kind"], change["queue"], change["labels"]) == (all_match, kind, queue, labels)
    assert (change["event"]["state"], change["event"]["sequence"]) == ("CANCELLED", 2)


def test_feed_begins_with_the_changes_from_now_on(agent, server, proxy):
    kind = agent.work("echo").kind("echo")
    agent.result(agent.submit(kind))
    agent.connect(proxy.address)
    feed = agent.feed(kind=kind)
    proxy.wait_for(responses=1)
    # The first message of the server is a heartbeat, which is no item.
    assert_succeeds(feed, server.raw.submit_text(kind, "now"))


def test_feed_continues_after_the_cursor_of_an_item(agent, server):
    kind = agent.work("echo").kind("echo")
    first = agent.feed(after_cursor=server.raw.feed_cursor(), kind=kind)
    agent.submit(kind)
    items = [first.next_event() for _ in STATES]
    assert [item["event"]["state"] for item in items] == STATES
    second = agent.feed(after_cursor=items[0]["cursor"], kind=kind)
    assert [second.next_event(), second.next_event()] == items[1:]


def test_feed_resumes_after_connection_cuts(agent, server, proxy):
    kind = agent.work("echo").kind("echo")
    unserved = f"unserved-{uuid.uuid4().hex[:8]}"
    begin = server.raw.feed_cursor()
    waiting = server.raw.submit_many(unserved, JOBS, queue=unserved)
    agent.connect(proxy.address)
    proxy.cut_after(CUT_BYTES)
    replay, live = agent.feed(after_cursor=begin, kind=unserved), agent.feed(after_cursor=begin, kind=kind)
    proxy.wait_for(cuts=CUTS)
    proxy.cut_after(None)
    assert_changes(replay, queued(waiting))
    assert_succeeds(live, server.raw.submit_text(kind, "connected"))
    proxy.refuse()
    proxy.cut()
    missed = server.raw.submit_text(kind, "not connected")
    assert server.raw.wait(missed, seconds=10)
    proxy.accept()
    assert_succeeds(live, missed)
    agent.send("purge", queue=unserved).ok()


def test_feed_has_a_gap_for_changes_that_the_server_dropped(agent, new_server):
    server = new_server("--feed-bytes", "16KiB")
    agent.connect(server.address)
    begin = server.raw.feed_cursor()
    jobs = server.raw.submit_many("unserved", JOBS, queue="unserved")
    feed = agent.feed(after_cursor=begin)
    gap = feed.next_event()
    assert gap["type"] == "gap" and 0 < gap["missed"] < JOBS
    assert_changes(feed, queued(jobs[gap["missed"] :]))


def test_feed_has_a_gap_after_a_restart(agent, new_server):
    server = new_server()
    agent.connect(server.address)
    feed = agent.feed(after_cursor=server.raw.feed_cursor())
    assert_changes(feed, queued([agent.submit("unserved")]))
    server.kill()
    server.start()
    gap = feed.next_event()
    assert (gap["type"], gap["missed"]) == ("gap", 0)
    assert_changes(feed, queued([server.raw.submit_text("unserved", "again")]))


def test_feed_refuses_an_invalid_cursor(agent):
    (field,) = agent.feed(after_cursor="none").error("invalid_request")["violations"]
    assert field in ("after_cursor", "afterCursor"), "its name in gRPC or in JSON"
