"""Tests the feed of all jobs against a real server."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from conftest import Proxy

from jobstream import AsyncClient, Client, FeedGap, InvalidRequest, JobChange


@pytest.fixture
def queue() -> str:
    return f"queue-{uuid.uuid4().hex[:8]}"


def begin(client: Client) -> str:
    """A cursor before the next change: after one of no server, a feed begins with a gap."""
    with client.watch_jobs(queue="none", after_cursor="1-1") as feed:
        assert next(feed) == FeedGap(0)
        return feed.cursor


def test_feed_has_each_change_once_and_resumes(client: Client, proxy: Proxy, queue: str) -> None:
    cursor = begin(client)
    with Client(proxy.address) as through, through.watch_jobs(queue=queue, after_cursor=cursor) as feed:
        for n in range(5):
            job = client.submit("demo.echo", n, queue=queue)
            job.result(10)
            changes = [next(feed) for _ in range(3)]
            assert all(isinstance(change, JobChange) and change.job_id == job.id for change in changes)
            assert [c.event.state for c in changes if isinstance(c, JobChange)] == ["QUEUED", "RUNNING", "SUCCEEDED"]
            proxy.cut()


async def test_async_feed_is_filtered(async_client: AsyncClient, client: Client, queue: str) -> None:
    cursor = begin(client)
    job = client.submit("demo.echo", 1, queue=queue, labels={"part": "1"})
    job.result(10)
    client.submit("unserved", queue=queue)
    async with async_client.watch_jobs(states="SUCCEEDED", queue=queue, after_cursor=cursor) as feed:
        change = await anext(feed)
    assert isinstance(change, JobChange)
    assert (change.job_id, change.kind, change.labels) == (job.id, "demo.echo", {"part": "1"})


async def test_async_feed_resumes_after_a_cancelled_read(async_client: AsyncClient, queue: str) -> None:
    async with async_client.watch_jobs(queue=queue, after_cursor="1-1") as feed:
        assert await anext(feed) == FeedGap(0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(feed), 0.1)
        job = await async_client.submit("unserved", queue=queue)
        change = await anext(feed)
    assert isinstance(change, JobChange)
    assert change.job_id == job.id


async def test_closing_an_async_feed_ends_its_reader(async_client: AsyncClient, queue: str) -> None:
    feed = async_client.watch_jobs(queue=queue, after_cursor="1-1")
    assert await anext(feed) == FeedGap(0)
    reader = asyncio.create_task(anext(feed, None))
    await asyncio.sleep(0)  # Until it waits for a message.
    await feed.aclose()
    assert await asyncio.wait_for(reader, 10) is None


def test_unknown_state_is_rejected_before_a_call() -> None:
    with pytest.raises(InvalidRequest, match="'DONE' is not a state: use SCHEDULED, QUEUED"):
        Client("http://127.0.0.1:1").watch_jobs(states="DONE")
    assert list(Client("http://127.0.0.1:1").watch_jobs(states=[])) == []
