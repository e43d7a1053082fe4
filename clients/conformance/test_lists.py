"""Tests the listings of jobs and queues, and the calls on what they list: retry, delete, pause, resume, purge."""

import uuid

import pytest

from agent import as_json

MANY = 1_100
"""More jobs than the largest page of the server has."""


def listed(agent, **filters):
    return agent.send("list", **filters).ok()["jobs"]


def ids(jobs):
    return [job["job_id"] for job in jobs]


def unused_queue():
    return f"queue-{uuid.uuid4().hex[:8]}"


def queue_of(agent, name):
    (queue,) = [queue for queue in agent.send("queues").ok()["queues"] if queue["name"] == name]
    return queue


def test_jobs_are_listed_newest_first_over_all_pages(agent, server):
    queue = unused_queue()
    submitted = server.raw.submit_many("stays-queued", MANY, queue=queue)
    jobs = listed(agent, queue=queue)
    assert ids(jobs) == submitted[::-1]
    assert jobs[0] == {"job_id": submitted[-1], "kind": "stays-queued", "queue": queue, "state": "QUEUED"}


def test_limit_of_a_listing(agent, server):
    queue = unused_queue()
    submitted = server.raw.submit_many("stays-queued", 5, queue=queue)
    assert ids(listed(agent, queue=queue, limit=2)) == submitted[:2:-1]


def test_listing_by_state_kind_queue_and_labels(agent):
    work, queue = agent.work("echo"), unused_queue()
    kind, label = work.kind("echo"), uuid.uuid4().hex
    done = agent.submit(kind, queue=queue, labels={"test": label, "part": "1"})
    agent.result(done)
    waiting = agent.submit("stays-queued", queue=queue, labels={"test": label, "part": "2"})
    assert ids(listed(agent, labels={"test": label})) == [waiting, done]
    assert ids(listed(agent, labels={"test": label, "part": "1"})) == [done]
    assert ids(listed(agent, queue=queue, state="QUEUED")) == [waiting]
    assert ids(listed(agent, queue=queue, kind=kind)) == [done]
    assert ids(listed(agent, kind=kind, state="SUCCEEDED")) == [done]
    assert listed(agent, queue=queue, state="FAILED") == []


def test_retry_of_a_finished_job_is_a_new_job(agent, server):
    work = agent.work("fail")
    failed = agent.submit(work.kind("fail"), as_json({"mode": "permanent", "message": "no"}))
    agent.send("result", job_id=failed).error("job_failed")
    retried = agent.send("retry", job_id=failed).ok()["job_id"]
    assert retried != failed
    assert agent.send("result", job_id=retried).error("job_failed")["failure"]["message"] == "no"
    assert server.raw.job(retried).origin_job_id == failed


def test_retried_retry_is_one_job(agent, server, proxy):
    kind = agent.work("echo").kind("echo")
    agent.connect(proxy.address)
    job_id = agent.submit(kind)
    agent.result(job_id)
    proxy.cut_on_response()
    retrying = agent.send("retry", job_id=job_id)
    proxy.wait_for(cuts=1, refused=1)
    proxy.accept()
    retried = retrying.ok()["job_id"]
    assert sorted(job.job_id for job in server.raw.of_kind(kind)) == sorted([job_id, retried])


def test_job_that_has_not_ended_is_neither_retried_nor_deleted(agent):
    job_id = agent.submit("stays-queued")
    for op in ("retry", "delete"):
        assert agent.send(op, job_id=job_id).error("illegal_state")["reason"] == "ILLEGAL_STATE"
    assert agent.state(job_id) == "QUEUED"


@pytest.mark.parametrize("op", ["retry", "delete"])
def test_unknown_job_is_neither_retried_nor_deleted(agent, op):
    error = agent.send(op, job_id=str(uuid.uuid4())).error("job_not_found")
    assert error["reason"] == "JOB_NOT_FOUND"


def test_deleted_job_is_removed(agent):
    kind = agent.work("echo").kind("echo")
    job_id = agent.submit(kind)
    agent.result(job_id)
    agent.send("delete", job_id=job_id).ok()
    assert listed(agent, kind=kind) == []
    assert agent.send("result", job_id=job_id).error("result_expired")["reason"] == "RESULT_EXPIRED"


def test_delete_succeeds_after_a_lost_response(agent, server, proxy):
    kind = agent.work("echo").kind("echo")
    agent.connect(proxy.address)
    job_id = agent.submit(kind)
    agent.result(job_id)
    proxy.cut_on_response()
    deleting = agent.send("delete", job_id=job_id)
    proxy.wait_for(cuts=1, refused=1)
    assert server.raw.of_kind(kind) == []
    proxy.accept()
    deleting.ok()


def test_queues_count_their_jobs(agent):
    work, queue = agent.work("hold", slots=1), unused_queue()
    job_id = work.hold(queue=queue)
    agent.submit("stays-queued", queue=queue)
    agent.submit("stays-scheduled", queue=queue, delay=60_000)
    assert queue_of(agent, queue) == {"name": queue, "waiting": 2, "running": 1, "paused": False}
    agent.release(job_id)


def test_paused_queue_starts_no_jobs_until_it_is_resumed(agent, server):
    kind, queue = agent.work("echo").kind("echo"), unused_queue()
    agent.send("pause", queue=queue).ok()
    job_id = agent.submit(kind, queue=queue)
    assert queue_of(agent, queue) == {"name": queue, "waiting": 1, "running": 0, "paused": True}
    assert server.raw.wait_reason(job_id) == "QUEUE_PAUSED"
    agent.send("resume", queue=queue).ok()
    agent.result(job_id)
    assert not queue_of(agent, queue)["paused"]


def test_purge_cancels_the_waiting_jobs_of_a_queue(agent):
    work, queue = agent.work("hold", slots=1), unused_queue()
    running = work.hold(queue=queue)
    waiting = [agent.submit("stays-queued", queue=queue) for _ in range(3)]
    assert agent.send("purge", queue=queue).ok() == {"cancelled": 3}
    assert [agent.state(job_id) for job_id in waiting] == ["CANCELLED"] * 3
    agent.release(running, as_json("untouched"))
    agent.result(running)


def test_purge_is_not_retried(agent, server, proxy):
    """A second call would cancel jobs that were submitted after the first one."""
    queue = unused_queue()
    agent.connect(proxy.address)
    purged = agent.submit("stays-queued", queue=queue)
    agent.state(purged)
    proxy.cut_on_response()
    purging = agent.send("purge", queue=queue)
    proxy.wait_for(cuts=1)
    later = server.raw.submit_many("stays-queued", 1, queue=queue)[0]
    proxy.accept()
    purging.error("unavailable")
    assert [server.raw.state(job_id) for job_id in (purged, later)] == ["CANCELLED", "QUEUED"]


def test_missing_queue_is_named(agent):
    queue = unused_queue()
    for op in ("resume", "purge"):
        error = agent.send(op, queue=queue).wait()["error"]
        assert error["reason"] == "QUEUE_NOT_FOUND" and queue in error["message"]
