"""Tests `batch`, which submits many jobs and returns a result for each."""

import uuid

from agent import as_json, as_text, read_json

CALL_JOBS_MAX = 1_000
"""Most jobs of one call."""


def batch(agent, jobs):
    results = agent.send("batch", jobs=jobs).ok()["results"]
    assert len(results) == len(jobs)
    return results


def submit(kind, payload=None, **options):
    """The fields of a submit."""
    return {"kind": kind, "payload": payload or as_json(None), **options}


def test_results_of_a_batch_are_in_the_order_of_its_jobs(agent):
    kind = agent.work("echo").kind("echo")
    results = batch(agent, [submit(kind, as_json(n)) for n in range(20)])
    assert [read_json(agent.result(result["job_id"])) for result in results] == list(range(20))


def test_refused_jobs_of_a_batch_do_not_affect_the_others(agent, server):
    used, label = agent.submit("stays-queued", as_json(1)), uuid.uuid4().hex
    first, invalid, reused, last = batch(
        agent,
        [
            submit("stays-queued", labels={"test": label}),
            submit("no spaces here"),
            submit("stays-queued", as_json(2), job_id=used),
            submit("stays-queued", labels={"test": label}, priority=7),
        ],
    )
    accepted = {job.job_id for job in server.raw.labelled(test=label)}
    assert {first["job_id"], last["job_id"]} == accepted
    assert server.raw.job(last["job_id"]).spec.priority == 7
    assert (invalid["error"]["class"], invalid["error"]["reason"]) == ("invalid_request", "INVALID_FIELD")
    assert (reused["error"]["class"], reused["error"]["reason"]) == ("job_id_reused", "JOB_ID_REUSED")
    assert "kind" in invalid["error"]["message"] and used in reused["error"]["message"]


def test_batch_of_more_jobs_than_one_call_has(agent, server):
    queue = f"queue-{uuid.uuid4().hex[:8]}"
    results = batch(agent, [submit("stays-queued", queue=queue) for _ in range(CALL_JOBS_MAX + 1)])
    assert len({result["job_id"] for result in results}) == CALL_JOBS_MAX + 1
    assert server.raw.job(results[-1]["job_id"]).spec.queue == queue


def test_batch_of_more_bytes_than_one_call_has(agent, server):
    results = batch(agent, [submit("stays-queued", as_text("x" * 1_000_000)) for _ in range(6)])
    assert server.raw.state(results[-1]["job_id"]) == "QUEUED"


def test_retried_batch_is_one_batch(agent, server, proxy):
    label = uuid.uuid4().hex
    agent.connect(proxy.address)
    # Waits until the concurrent boot id lookup of the client has ended.
    agent.state(agent.submit("stays-queued"))
    proxy.cut_on_response()
    batching = agent.send("batch", jobs=[submit("stays-queued", labels={"test": label}) for _ in range(3)])
    proxy.wait_for(cuts=1, refused=1)
    proxy.accept()
    submitted = [result["job_id"] for result in batching.ok()["results"]]
    assert sorted(job.job_id for job in server.raw.labelled(test=label)) == sorted(submitted)


def test_empty_batch_has_no_results(agent):
    assert batch(agent, []) == []
