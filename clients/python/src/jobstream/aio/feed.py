"""Follows the state changes of all jobs (asyncio). Resumes after broken and idle streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

from ..backoff import HEARTBEATS_MISSED_MAX, ReconnectBackoff
from ..changes import FeedItem, read_item
from ..errors import JobstreamError
from ..v1 import job_service_pb2
from .watch import Stream

if TYPE_CHECKING:
    from .client import AsyncClient


class AsyncFeed(AsyncIterator[FeedItem]):
    """An asynchronous iterator over the state changes of all jobs that match a filter, in order, none twice. It has no
    end.

    If a stream breaks, is rejected with a transient error or misses three heartbeats, the feed resumes after the last
    cursor. Changes that the server does not retain are one FeedGap. Iterating raises Unavailable if the server was
    unavailable for `patience` seconds. `aclose`, the end of an `async with` block, or a cancelled task ends the feed.
    """

    def __init__(
        self,
        client: AsyncClient,
        request: job_service_pb2.WatchJobsRequest | None,
        after_cursor: str,
        heartbeat: float,
    ) -> None:
        self._client, self._request, self._heartbeat = client, request, heartbeat
        self._cursor = after_cursor
        self._reconnect = ReconnectBackoff(client.options)
        self._stream: Stream[job_service_pb2.WatchJobsResponse] | None = None
        self._closed = False

    @property
    def cursor(self) -> str:
        """The cursor after the last message. Another feed can resume after it. Empty before the first message."""
        return self._cursor

    async def __anext__(self) -> FeedItem:
        while self._request is not None and not self._closed:
            try:
                message = await self._message(self._request)
            except JobstreamError as error:
                self._drop()
                if self._closed:
                    break
                try:
                    pause = self._reconnect.pause(error)
                except JobstreamError:
                    self._closed = True
                    raise
                await self._client._pause(pause)
                continue
            self._reconnect.connected()
            self._cursor = self._request.after_cursor = message.cursor
            if (item := read_item(message)) is not None:
                return item
        self._drop()
        raise StopAsyncIteration

    async def _message(self, request: job_service_pb2.WatchJobsRequest) -> job_service_pb2.WatchJobsResponse:
        """The next message. Opens a stream if there is none."""
        if self._stream is None or self._stream.has_ended:
            self._stream = Stream(self._client, lambda link: link.jobs.WatchJobs(request))
        # The server ends a feed only with an error. A proxy closed one that ends without.
        return await self._stream.next(self._heartbeat * HEARTBEATS_MISSED_MAX, "the stream ended")

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.end()

    async def aclose(self) -> None:
        """Ends the feed. The iterator stops."""
        self._closed = True
        self._drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
