"""Tests the wait reason in the responses to a submit, a batch and a retry."""

import uuid

from agent import as_json


def unserved_kind():
    return f"unserved-{uuid.uuid4().hex[:8]}"


def submit(agent, kind, **options):
    return agent.send("submit", kind=kind, payload=as_json(None), **options).ok()


def test_submit_of_a_kind_without_a_worker_returns_no_worker(agent):
    assert submit(agent, unserved_kind())["wait_reason"] == "NO_WORKER"


def test_batch_returns_the_wait_reason_of_each_job(agent):
    jobs = [{"kind": unserved_kind(), "payload": as_json(None), **options} for options in ({}, {"delay": 60_000})]
    results = agent.send("batch", jobs=jobs).ok()["results"]
    assert [result["wait_reason"] for result in results] == ["NO_WORKER", "NOT_DUE"]


def test_retry_returns_the_wait_reason_of_the_new_job(agent):
    job_id = submit(agent, unserved_kind())["job_id"]
    agent.send("cancel", job_id=job_id, reason="").ok()
    assert agent.send("retry", job_id=job_id).ok()["wait_reason"] == "NO_WORKER"


def test_job_that_ended_has_no_wait_reason(agent):
    kind = agent.work("echo").kind("echo")
    job_id = agent.submit(kind)
    agent.result(job_id)
    # The same submit again returns the existing job.
    assert not submit(agent, kind, job_id=job_id).get("wait_reason")
