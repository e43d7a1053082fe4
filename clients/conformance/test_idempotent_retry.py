"""Tests that a retried submit never creates a second job."""

import uuid

from agent import as_json


def test_retry_after_a_lost_response_is_the_same_job(agent, server, proxy):
    agent.connect(proxy.address)
    # Waits until the concurrent boot id lookup of the client has ended.
    agent.state(agent.submit("stays-queued"))
    label = uuid.uuid4().hex
    proxy.cut_on_response()
    submitting = agent.send("submit", kind="stays-queued", payload=as_json(1), labels={"test": label})
    proxy.wait_for(cuts=1, refused=1)
    assert len(server.raw.labelled(test=label)) == 1, "the submit arrived, only its response was lost"
    proxy.accept()
    job_id = submitting.ok()["job_id"]
    assert [job.job_id for job in server.raw.labelled(test=label)] == [job_id]


def test_submit_retries_until_the_server_is_reachable(agent, server, proxy):
    proxy.refuse()
    agent.connect(proxy.address)
    label = uuid.uuid4().hex
    submitting = agent.send("submit", kind="stays-queued", payload=as_json(1), labels={"test": label})
    proxy.wait_for(refused=1)
    proxy.accept()
    job_id = submitting.ok()["job_id"]
    assert [job.job_id for job in server.raw.labelled(test=label)] == [job_id]


def test_same_id_and_spec_is_the_same_job(agent, server):
    job_id, label = str(uuid.uuid4()), uuid.uuid4().hex
    options = {"job_id": job_id, "labels": {"test": label}}
    assert [agent.submit("stays-queued", as_json(1), **options) for _ in range(2)] == [job_id, job_id]
    assert len(server.raw.labelled(test=label)) == 1


def test_same_id_with_another_spec_is_rejected(agent):
    job_id = agent.submit("stays-queued", as_json(1), job_id=str(uuid.uuid4()))
    again = agent.send("submit", kind="stays-queued", payload=as_json(2), job_id=job_id)
    assert again.error("job_id_reused")["reason"] == "JOB_ID_REUSED"


def test_client_generates_job_ids(agent, server, proxy):
    agent.connect(proxy.address)
    generated = {agent.submit("stays-queued") for _ in range(3)}
    assert len(generated) == 3 and all(uuid.UUID(job_id) for job_id in generated)
