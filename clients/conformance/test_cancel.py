"""Tests cancellation before, during and after an attempt."""

import uuid

from agent import as_json, read_json


def test_queued_job_is_cancelled_immediately(agent):
    job_id = agent.submit(f"unserved-{uuid.uuid4().hex[:8]}")
    assert agent.send("cancel", job_id=job_id, reason="not needed").ok()["state"] == "CANCELLED"
    error = agent.send("result", job_id=job_id).error("job_cancelled")
    assert error["cancellation"] == {"reason": "not needed", "forced": False}


def test_running_handler_receives_its_cancellation(agent):
    work = agent.work("hold")
    job_id = work.hold()
    waiting = agent.send("result", job_id=job_id)
    assert agent.send("cancel", job_id=job_id, reason="enough").ok()["state"] in ("RUNNING", "CANCELLED")
    work.wait_cancelled(job_id)
    assert waiting.error("job_cancelled")["cancellation"] == {"reason": "enough", "forced": False}


def test_value_returned_after_a_cancel_is_the_result(agent):
    work = agent.work("ignore_cancel")
    job_id = work.hold("ignore_cancel")
    assert agent.send("cancel", job_id=job_id, reason="late", grace=20_000).ok()["state"] == "RUNNING"
    agent.release(job_id, as_json("nearly done"))
    assert read_json(agent.result(job_id)) == "nearly done"


def test_handler_that_ignores_its_cancellation_loses_its_lease(agent):
    work = agent.work("ignore_cancel", "echo")
    job_id = work.hold("ignore_cancel")
    assert agent.send("cancel", job_id=job_id, reason="now", grace=300).ok()["state"] == "RUNNING"
    error = agent.send("result", job_id=job_id).error("job_cancelled")
    assert error["cancellation"] == {"reason": "now", "forced": True}
    agent.release(job_id)
    agent.result(agent.submit(work.kind("echo"), as_json("its worker continues")))


def test_finished_job_cannot_be_cancelled(agent):
    work = agent.work("echo")
    job_id = agent.submit(work.kind("echo"))
    agent.result(job_id)
    error = agent.send("cancel", job_id=job_id, reason="").error("illegal_state")
    assert error["reason"] == "ILLEGAL_STATE"
    assert agent.state(job_id) == "SUCCEEDED"


def test_cancelling_a_cancelled_job_succeeds(agent):
    job_id = agent.submit(f"unserved-{uuid.uuid4().hex[:8]}")
    for _ in range(2):
        assert agent.send("cancel", job_id=job_id, reason="twice").ok()["state"] == "CANCELLED"
