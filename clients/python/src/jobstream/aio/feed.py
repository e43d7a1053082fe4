"""Follows the state changes of all jobs (asyncio). Resumes after broken and idle streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from typing_extensions import Self

from ..backoff import HEARTBEATS_MISSED_MAX, ReconnectBackoff
from ..changes import FeedItem, read_item
from ..errors import JobstreamError, unavailable
from ..v1 import job_service_pb2

if TYPE_CHECKING:
    from .client import AsyncClient
    from .connection import Link

Call = grpc.aio.UnaryStreamCall[job_service_pb2.WatchJobsRequest, job_service_pb2.WatchJobsResponse]


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
        self._call: Call | None = None
        self._link: Link | None = None
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
                self._release()
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
        self._release()
        raise StopAsyncIteration

    async def _message(self, request: job_service_pb2.WatchJobsRequest) -> job_service_pb2.WatchJobsResponse:
        """The next message. Opens a stream if there is none."""
        address = self._client.address.url
        if self._call is None or self._link is None:
            self._link = self._client._connection.acquire()
            self._call = self._link.jobs.WatchJobs(request)
        try:
            message = await asyncio.wait_for(self._call.read(), self._heartbeat * HEARTBEATS_MISSED_MAX)
        except asyncio.TimeoutError as error:
            self._client._connection.replace(self._link)
            raise unavailable(address, "the stream timed out") from error
        except asyncio.CancelledError:
            # Cancelling a read cancels its call. The next iteration resumes on a new stream.
            self._release()
            if self._closed or self._client._connection.is_closed:
                raise unavailable(address, "the feed or its client was closed") from None
            raise
        except grpc.aio.AioRpcError as error:
            raise self._client._convert_error(error) from error
        if not isinstance(message, job_service_pb2.WatchJobsResponse):
            # The server ends a feed only with an error. A proxy closed this one.
            raise unavailable(address, "the stream ended")
        return message

    def _release(self) -> None:
        call, self._call = self._call, None
        link, self._link = self._link, None
        if call is not None and link is not None:
            call.cancel()
            self._client._connection.release(link)

    async def aclose(self) -> None:
        """Ends the feed. The iterator stops."""
        self._closed = True
        self._release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
