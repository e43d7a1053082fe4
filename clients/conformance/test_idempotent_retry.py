"""A submit that is tried again is never a second job."""

import uuid

from agent import as_json


def test_retry_after_a_lost_answer_is_the_same_job(agent, server, proxy):
    agent.connect(proxy.address)
    # Whatever else a client asks beside its first submit is done then.
    agent.state(agent.submit("stays-queued"))
    label = uuid.uuid4().hex
    proxy.cut_on_answer()
    submitting = agent.send("submit", kind="stays-queued", payload=as_json(1), labels={"test": label})
    proxy.wait_for(cuts=1, refused=1)
    assert len(server.raw.labelled(test=label)) == 1, "the submit had arrived, only its answer was lost"
    proxy.accept()
    job_id = submitting.ok()["job_id"]
    assert [job.job_id for job in server.raw.labelled(test=label)] == [job_id]


def test_submit_waits_for_a_server_that_is_not_there_yet(agent, server, proxy):
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


def test_same_id_with_another_spec_is_refused(agent):
    job_id = agent.submit("stays-queued", as_json(1), job_id=str(uuid.uuid4()))
    again = agent.send("submit", kind="stays-queued", payload=as_json(2), job_id=job_id)
    assert again.error("job_id_reused")["reason"] == "JOB_ID_REUSED"


def test_ids_are_minted_by_the_client(agent, server, proxy):
    agent.connect(proxy.address)
    minted = {agent.submit("stays-queued") for _ in range(3)}
    assert len(minted) == 3 and all(uuid.UUID(job_id) for job_id in minted)
