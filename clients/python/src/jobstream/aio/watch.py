"""Watches the events of a job until it ends (asyncio). Resumes after broken and idle streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Union

import grpc
import grpc.aio
from typing_extensions import Self

from .. import boot
from ..backoff import HEARTBEATS_MISSED_MAX, ReconnectBackoff
from ..errors import JobstreamError, unavailable
from ..events import Cursor, Message, WatchItem
from ..v1 import job_service_pb2
from ..watch import CLOSE_TIMEOUT

if TYPE_CHECKING:
    from .client import AsyncClient
    from .connection import Link

Call = Union[
    grpc.aio.UnaryStreamCall[job_service_pb2.WatchResultRequest, job_service_pb2.WatchResultResponse],
    grpc.aio.UnaryStreamCall[job_service_pb2.RunRequest, job_service_pb2.RunResponse],
]


class AsyncWatch(AsyncIterator[WatchItem]):
    """An asynchronous iterator over the events of one job, in order, each once. It ends after the final event.

    If a stream breaks, is rejected with a transient error or misses three heartbeats, the watch resumes after the last
    sequence. Iterating raises JobNotFound, ServerRestarted, ResultExpired; Unavailable if the server was unavailable
    for `patience` seconds. `aclose`, the end of an `async with` block, or a cancelled task ends the watch. The job
    continues.
    """

    def __init__(
        self, client: AsyncClient, job_id: str, accepted_by: boot.Boot | None, after_sequence: int, heartbeat: float
    ) -> None:
        self._client, self._boot = client, accepted_by
        self._cursor = Cursor(job_id, after_sequence, heartbeat)
        self._reconnect = ReconnectBackoff(client.options)
        self._call: Call | None = None
        self._link: Link | None = None
        self._closed = False

    @property
    def last_sequence(self) -> int:
        """Sequence of the last item returned. Another watch can resume after it."""
        return self._cursor.last

    async def __anext__(self) -> WatchItem:
        while not self._cursor.is_over and not self._closed:
            try:
                message = await self._message()
            except JobstreamError as error:
                self._release()
                if self._closed:
                    break
                converted = boot.detect_restart(self._cursor.job_id, self._boot, error)
                try:
                    pause = self._pause(converted)
                except JobstreamError:
                    self._closed = True
                    raise
                await self._client._pause(pause)
                continue
            self._reconnect.connected()
            item = self._cursor.advance(message)
            if self._cursor.is_over:
                await self._close()
            if item is not None:
                return item
        self._release()
        raise StopAsyncIteration

    def _begin(self, link: Link) -> Call:
        """Opens a stream."""
        return link.jobs.WatchResult(self._cursor.request())

    def _idle_timeout(self) -> float:
        """How long the stream may be idle, in seconds."""
        return self._cursor.heartbeat * HEARTBEATS_MISSED_MAX

    def _pause(self, error: JobstreamError) -> float:
        """The delay before the next stream. Raises the error if it is not transient or the retry limit is reached."""
        return self._reconnect.pause(error)

    async def _message(self) -> Message:
        """The next message. Opens a stream if there is none."""
        address = self._client.address.url
        if self._call is None or self._link is None:
            self._link = self._client._connection.acquire()
            self._call = self._begin(self._link)
        try:
            message = await asyncio.wait_for(self._call.read(), self._idle_timeout())
        except asyncio.TimeoutError as error:
            self._client._connection.replace(self._link)
            raise unavailable(address, "the stream timed out") from error
        except asyncio.CancelledError:
            # Cancelling a read cancels its call. The next iteration resumes on a new stream.
            self._release()
            if self._closed or self._client._connection.is_closed:
                raise unavailable(address, "the watch or its client was closed") from None
            raise
        except grpc.aio.AioRpcError as error:
            raise self._client._convert_error(error) from error
        if not isinstance(message, (job_service_pb2.WatchResultResponse, job_service_pb2.RunResponse)):
            # The server closes a stream without an error only after the final event. A proxy closed this one.
            raise unavailable(address, "the stream ended before the job ended")
        return message

    async def _close(self) -> None:
        """Waits for the server to close the stream after the final event, because a cancel would reset the HTTP/2
        stream."""
        if self._call is not None:
            try:
                await asyncio.wait_for(self._call.read(), CLOSE_TIMEOUT)
            except (grpc.aio.AioRpcError, asyncio.TimeoutError):
                pass  # The outcome was received before.
            finally:
                self._release()

    def _release(self) -> None:
        call, self._call = self._call, None
        link, self._link = self._link, None
        if call is not None and link is not None:
            call.cancel()
            self._client._connection.release(link)

    async def aclose(self) -> None:
        """Ends the watch. The iterator stops."""
        self._closed = True
        self._release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
