"""Tests the client against a real server: types, close, threads and tasks."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc.aio
import pytest
from conftest import Proxy

from jobstream import (
    AsyncClient,
    Client,
    ClientOptions,
    InvalidRequest,
    JobFailed,
    NotFinished,
    Payload,
    ResultMismatch,
    RetryPolicy,
    StateChange,
    Unavailable,
    WatchItem,
)
from jobstream.testing import server
from jobstream.times import from_duration
from jobstream.v1.job_service_pb2 import GetJobRequest


@dataclass
class Greeting:
    hi: str


def test_result_has_the_requested_type(client: Client) -> None:
    job = client.submit("demo.echo", Greeting("there"), returns=Greeting)
    assert job.result(10) == Greeting("there")
    assert client.job(job.id).result(10) == {"hi": "there"}
    assert client.job(job.id, returns=Payload).result(10).body == '{"hi":"there"}'


def test_result_of_another_type_raises_result_mismatch(client: Client) -> None:
    job = client.submit("demo.echo", {"hi": 1}, returns=Greeting)
    with pytest.raises(ResultMismatch, match=r"\$\.hi"):
        job.result(10)


def test_job_without_input_has_an_empty_payload(client: Client) -> None:
    job = client.submit("demo.echo")
    assert client.get(job.id).input == Payload()
    assert job.result(10) == b""


def test_failure_is_raised_with_all_its_fields(client: Client) -> None:
    job = client.submit("demo.fail", {"message": "no"}, max_attempts=1)
    with pytest.raises(JobFailed, match="no") as caught:
        job.result(10)
    assert (caught.value.failure.type, caught.value.failure.attempt) == ("demo.Failure", 1)


def test_wait_timeout_is_a_timeout_error(client: Client) -> None:
    job = client.submit("unserved")
    with pytest.raises(TimeoutError):
        job.result(0.05)
    assert job.state() == "QUEUED"


def test_threads_share_a_client(client: Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        results = pool.map(lambda number: client.submit("demo.echo", number).result(30), range(100))
        assert list(results) == list(range(100))


def test_close_ends_a_wait_and_the_job_continues(address: str, client: Client) -> None:
    job = client.submit("unserved")
    other = Client(address)
    waiting = ThreadPoolExecutor(1).submit(other.job(job.id).result)
    with pytest.raises(NotFinished):
        job.result(0.2)
    other.close()
    with pytest.raises(Unavailable):
        waiting.result(10)
    assert job.state() == "QUEUED"
    with pytest.raises(RuntimeError, match="closed"):
        other.get(job.id)


MALFORMED = ["order-123", "", "8c6f5d6e-9c0f-4b34-9d3c-1ad6dfb2e0a", "8c6f5d6e9c0f-4b34-9d3c-1ad6dfb2e0a1"]
UNREACHABLE = "http://127.0.0.1:1"


@pytest.mark.parametrize("id", MALFORMED)
def test_malformed_job_id_is_rejected_before_a_call(id: str) -> None:
    client = Client(UNREACHABLE)
    calls: list[Callable[[], object]] = [
        lambda: client.job(id),
        lambda: client.get(id),
        lambda: client.submit("any", job_id=id),
        lambda: client.run("any", job_id=id),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest, match=r"must be a UUID.*uuid5") as caught:
            call()
        assert repr(id) in str(caught.value)
        assert caught.value.code == ""


@pytest.mark.parametrize("id", MALFORMED)
async def test_malformed_job_id_is_rejected_before_a_call_of_asyncio(id: str) -> None:
    client = AsyncClient(UNREACHABLE)
    with pytest.raises(InvalidRequest, match="must be a UUID"):
        client.job(id)
    for call in (client.get(id), client.submit("any", job_id=id), client.run("any", job_id=id)):
        with pytest.raises(InvalidRequest, match="must be a UUID"):
            await call


def test_job_id_derived_from_a_name_is_accepted(client: Client) -> None:
    derived = str(uuid.uuid5(uuid.NAMESPACE_URL, f"order-{uuid.uuid4()}"))
    jobs = [client.submit("demo.echo", 1, job_id=derived) for _ in range(2)]
    assert [job.id for job in jobs] == [derived, derived]


def test_retry_policy_has_attempts_and_backoff(client: Client) -> None:
    policy = RetryPolicy(3, initial_backoff=0.5, multiplier=3.0, max_backoff=60, jitter=0.0, max_lost_attempts=5)
    sent = client.get(client.submit("unserved", retry=policy).id).proto.spec.retry
    assert (sent.max_attempts, sent.multiplier, sent.jitter, sent.max_lost_attempts) == (3, 3.0, 0.0, 5)
    assert (from_duration(sent.initial_backoff), from_duration(sent.max_backoff)) == (0.5, 60.0)
    assert client.get(client.submit("unserved", max_attempts=4).id).proto.spec.retry.max_attempts == 4
    with pytest.raises(ValueError, match="not both"):
        client.submit("unserved", max_attempts=4, retry=policy)


def test_client_is_lazy() -> None:
    Client("http://127.0.0.1:1").close()


def test_closed_watch_ends_its_reader(client: Client) -> None:
    watch = client.submit("unserved").watch()
    assert next(watch).sequence == 1  # type: ignore[union-attr]
    threading.Timer(0.05, watch.close).start()
    assert list(watch) == []


def test_submit_retries_until_the_server_starts() -> None:
    with server("--demo=false") as gone:
        listen = gone.address.removeprefix("http://")
    client = Client(gone.address, ClientOptions(tries=1000))
    submitting = ThreadPoolExecutor(1).submit(client.submit, "unserved")
    with server("--demo=false", listen=listen):
        assert submitting.result(20).state() == "QUEUED"
    client.close()


def sequences(items: list[WatchItem]) -> list[int]:
    return [item.sequence for item in items if not hasattr(item, "first")]  # type: ignore[union-attr]


def test_watch_resumes_after_a_connection_cut(client: Client, proxy: Proxy) -> None:
    job = client.submit("demo.count", {"to": 4, "interval_seconds": 0.1})
    with Client(proxy.address) as through:
        items: list[WatchItem] = []
        for item in through.job(job.id).watch():
            items.append(item)
            if len(items) in (2, 4):
                proxy.cut()
    assert proxy.accepted == 3
    assert sequences(items) == sorted(set(sequences(items)))
    assert isinstance(items[-1], StateChange)
    assert items[-1].is_final


async def test_asyncio_watch_resumes_after_a_connection_cut(client: Client, proxy: Proxy) -> None:
    job = client.submit("demo.count", {"to": 4, "interval_seconds": 0.1})
    items: list[WatchItem] = []
    async with AsyncClient(proxy.address) as through:
        async for item in through.job(job.id).watch():
            items.append(item)
            if len(items) in (2, 4):
                proxy.cut()
    assert proxy.accepted == 3
    assert sequences(items) == sorted(set(sequences(items)))


async def test_awaiting_a_job_returns_its_result(async_client: AsyncClient) -> None:
    job = await async_client.submit("demo.echo", Greeting("there"), returns=Greeting)
    assert await job == Greeting("there")


async def test_tasks_share_a_client(async_client: AsyncClient) -> None:
    async def round_trip(number: int) -> object:
        return await (await async_client.submit("demo.echo", number))

    assert await asyncio.gather(*map(round_trip, range(100))) == list(range(100))


async def test_cancelled_wait_does_not_cancel_the_job(async_client: AsyncClient) -> None:
    job = await async_client.submit("unserved")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(job.result(), 0.1)
    assert await job.state() == "QUEUED"


async def test_watch_resumes_after_a_cancelled_read(async_client: AsyncClient) -> None:
    job = await async_client.submit("unserved")
    async with job.watch() as watch:
        await anext(watch)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(watch), 0.1)
        await job.cancel("seen enough")
        last = await asyncio.wait_for(anext(watch), 10)
    assert isinstance(last, StateChange)
    assert last.state == "CANCELLED"


async def test_close_raises_unavailable_in_a_wait_and_no_cancellation(address: str) -> None:
    client = AsyncClient(address)
    job = await client.submit("unserved")
    waiting = asyncio.create_task(job.result())
    with pytest.raises(NotFinished):
        await job.result(0.1)
    await client.close()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(waiting, 10)


def test_close_also_closes_replaced_channels() -> None:
    client = Client(UNREACHABLE)
    with client._connection.call() as link:
        client._connection.replace(link)
        client.close()
        with pytest.raises(ValueError, match="closed channel"):
            link.jobs.GetJob(GetJobRequest(), timeout=1)


async def test_close_also_closes_replaced_channels_of_asyncio() -> None:
    client = AsyncClient(UNREACHABLE)
    with client._connection.call() as link:
        client._connection.replace(link)
        await client.close()
        with pytest.raises(grpc.aio.UsageError, match="closed"):
            await link.jobs.GetJob(GetJobRequest(), timeout=1)


def test_asyncio_client_rejects_a_second_event_loop(address: str) -> None:
    client = AsyncClient(address)
    asyncio.run(client.submit("demo.echo", 1))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="event loop"):
        asyncio.run(client.submit("demo.echo", 1))  # type: ignore[arg-type]


def test_result_timeout_is_exact_while_the_server_is_unreachable() -> None:
    client = Client("http://127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(NotFinished):
        client.job("8c6f5d6e-9c0f-4b34-9d3c-1ad6dfb2e0a1").result(0.3)
    assert 0.25 < time.monotonic() - began < 5
    client.close()


def test_raw_stubs_are_on_the_same_channel(client: Client) -> None:
    from jobstream.v1 import admin_service_pb2

    assert client.admin.GetServerInfo(admin_service_pb2.GetServerInfoRequest()).mode == "memory"
