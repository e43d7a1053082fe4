"""Tests listings, batches and queues against a real server."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone

import pytest

from jobstream import (
    AsyncClient,
    AsyncJob,
    Client,
    ClientOptions,
    IllegalState,
    InvalidRequest,
    Job,
    JobNotFound,
    JobRequest,
    JobstreamError,
    ResultExpired,
    Unavailable,
)
from jobstream.batch import CALL_BYTES_FULL, CALL_JOBS_MAX
from jobstream.deletion import Deletion


@pytest.fixture
def queue() -> str:
    return f"queue-{uuid.uuid4().hex[:8]}"


def test_listing_reads_all_pages_newest_first(client: Client, queue: str) -> None:
    submitted = client.submit_all(JobRequest("unserved", n, queue=queue) for n in range(450))
    ids = [job.id for job in submitted if isinstance(job, Job)]
    assert [job.id for job in client.list(queue=queue)] == ids[::-1]


def test_listing_is_filtered(client: Client, queue: str) -> None:
    began = datetime.now(timezone.utc) - timedelta(seconds=1)
    done = client.submit("demo.echo", 1, queue=queue, labels={"part": "1"})
    done.result(10)
    waiting = client.submit("unserved", queue=queue, labels={"part": "2"})
    assert [job.id for job in client.list(queue=queue, states="QUEUED")] == [waiting.id]
    assert [job.id for job in client.list(queue=queue, states=["SUCCEEDED", "FAILED"])] == [done.id]
    assert [job.id for job in client.list(queue=queue, labels={"part": "1"})] == [done.id]
    assert [job.id for job in client.list(queue=queue, kind="unserved", created_from=began)] == [waiting.id]
    assert list(client.list(queue=queue, created_before=began)) == []
    assert list(client.list(queue=queue, states=[])) == []


def test_unknown_state_is_rejected_before_a_call() -> None:
    with pytest.raises(InvalidRequest, match="'DONE' is not a state: use SCHEDULED, QUEUED"):
        Client("http://127.0.0.1:1").list(states="DONE")


def test_finished_job_is_retried_as_a_new_job_and_deleted(client: Client) -> None:
    job = client.submit("demo.echo", {"hi": "there"})
    job.result(10)
    again = client.retry(job.id, returns=dict[str, str])
    assert again.id != job.id
    assert again.result(10) == {"hi": "there"}
    client.delete(job.id)
    with pytest.raises(ResultExpired):
        job.state()
    with pytest.raises(IllegalState):
        client.retry(client.submit("unserved").id)
    for call in (client.retry, client.delete):
        with pytest.raises(JobNotFound):
            call(str(uuid.uuid4()))
        with pytest.raises(InvalidRequest, match="must be a UUID"):
            call("order-123")


def test_delete_after_a_lost_response_succeeds() -> None:
    deletion = Deletion()
    with pytest.raises(Unavailable):
        deletion.on_error(Unavailable("the connection broke"))
    deletion.on_error(ResultExpired("gone"))
    with pytest.raises(ResultExpired):
        Deletion().on_error(ResultExpired("gone"))


def test_batch_returns_a_job_or_an_error_for_each_request(client: Client) -> None:
    requests = [JobRequest("demo.echo", 1), JobRequest("no spaces here"), JobRequest("demo.echo", 2)]
    first, refused, last = client.submit_all(requests, returns=int)
    assert isinstance(first, Job)
    assert isinstance(last, Job)
    assert (first.id, first.result(10), last.result(10)) == (requests[0].job_id, 1, 2)
    assert isinstance(refused, InvalidRequest)
    assert [violation.field for violation in refused.violations] == ["jobs[1].kind"]


def test_repeated_batch_returns_the_same_jobs(client: Client, queue: str) -> None:
    requests = [JobRequest("unserved", n, queue=queue) for n in range(3)]
    for _ in range(2):
        assert not [job for job in client.submit_all(requests) if not isinstance(job, Job)]
    assert len(list(client.list(queue=queue))) == 3


def test_failed_call_fails_the_rest_of_a_batch() -> None:
    client = Client("http://127.0.0.1:1", ClientOptions(tries=1))
    results = client.submit_all(JobRequest("any", n) for n in range(CALL_JOBS_MAX + 5))
    assert [type(result) for result in results] == [Unavailable] * (CALL_JOBS_MAX + 5)


def test_batches_have_at_most_1000_jobs_and_fit_a_message() -> None:
    client = Client("http://127.0.0.1:1")
    assert [len(batch.entries) for batch in client._batches(JobRequest("any") for _ in range(2_001))] == [
        1_000,
        1_000,
        1,
    ]
    for batch in client._batches(JobRequest("any", b"x" * (1 << 20)) for _ in range(5)):
        request = batch.request()
        assert request is not None
        assert request.ByteSize() < CALL_BYTES_FULL + (2 << 20)
    assert list(client._batches(iter([]))) == []


def test_queue_is_paused_resumed_and_purged(client: Client, queue: str) -> None:
    assert client.pause_queue(queue).paused
    job = client.submit("demo.echo", 1, queue=queue)
    (paused,) = [each for each in client.queues() if each.name == queue]
    assert (paused.paused, paused.waiting, paused.queued, paused.running) == (True, 1, 1, 0)
    assert client.purge_queue(queue) == 1
    assert job.state() == "CANCELLED"
    assert not client.resume_queue(queue).paused
    with pytest.raises(JobstreamError, match="QUEUE_NOT_FOUND"):
        client.purge_queue("no-such-queue")


async def test_asyncio_client_has_the_same_calls(async_client: AsyncClient, queue: str) -> None:
    await async_client.pause_queue(queue)
    first, refused = await async_client.submit_all([JobRequest("demo.echo", 1, queue=queue), JobRequest("no spaces")])
    assert isinstance(first, AsyncJob)
    assert isinstance(refused, InvalidRequest)
    assert [job.id async for job in async_client.list(queue=queue)] == [first.id]
    assert [each.waiting for each in await async_client.queues() if each.name == queue] == [1]
    await async_client.resume_queue(queue)
    assert await first == 1
    assert await (await async_client.retry(first.id, returns=int)) == 1
    await async_client.delete(first.id)
    with pytest.raises(ResultExpired):
        await async_client.get(first.id)
    assert await async_client.purge_queue(queue) == 0
