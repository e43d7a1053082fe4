"""Watches the events of a job until it ends (asyncio). Resumes after broken and idle streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

import grpc
import grpc.aio
from typing_extensions import Self

from .. import boot
from ..backoff import HEARTBEATS_MISSED_MAX, ReconnectBackoff
from ..errors import JobstreamError, unavailable
from ..events import Cursor, Message, WatchItem
from ..watch import CLOSE_TIMEOUT

if TYPE_CHECKING:
    from .client import AsyncClient
    from .connection import Link

Response = TypeVar("Response")


class Call(Protocol):
    """A response stream that can be cancelled."""

    async def read(self) -> object: ...
    def cancel(self) -> bool: ...


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
        self._stream: Stream[Message] | None = None
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
                self._drop()
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
            if self._cursor.is_over and self._stream is not None:
                await self._stream.end_gracefully()
            if item is not None:
                return item
        self._drop()
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
        if self._stream is None or self._stream.has_ended:
            self._stream = Stream(self._client, self._begin)
        # The server closes a stream without an error only after the final event. A proxy closed one that ends before.
        return await self._stream.next(self._idle_timeout(), "the stream ended before the job ended")

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.end()

    async def aclose(self) -> None:
        """Ends the watch. The iterator stops."""
        self._closed = True
        self._drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Stream(Generic[Response]):
    """One stream of a watch or a feed."""

    def __init__(self, client: AsyncClient, begin: Callable[[Link], Call]) -> None:
        self.has_ended = False
        self._client = client
        self._link = client._connection.acquire()
        self._call = begin(self._link)

    async def next(self, idle_timeout: float, ended: str) -> Response:
        """The next message. Raises the error of the stream; Unavailable if it timed out, or `ended` if it ended."""
        address, connection = self._client.address.url, self._client._connection
        try:
            message = await asyncio.wait_for(self._call.read(), idle_timeout)
        except asyncio.TimeoutError as error:
            connection.replace(self._link)
            raise unavailable(address, "the stream timed out") from error
        except asyncio.CancelledError:
            # The reader or its client was closed, or the task was cancelled. That cancels the call too.
            was_closed = self.has_ended or connection.is_closed
            self.end()
            if was_closed:
                raise unavailable(address, "the stream was closed") from None
            raise
        except grpc.aio.AioRpcError as error:
            raise self._client._convert_error(error) from error
        if message is grpc.aio.EOF:
            raise unavailable(address, ended)
        return cast("Response", message)

    def end(self) -> None:
        """Cancels the stream and releases its channel."""
        if not self.has_ended:
            self.has_ended = True
            self._call.cancel()
            self._client._connection.release(self._link)

    async def end_gracefully(self) -> None:
        """Waits for the server to close the stream after the final event, because a cancel would reset the HTTP/2
        stream."""
        try:
            await asyncio.wait_for(self._call.read(), CLOSE_TIMEOUT)
        except (grpc.aio.AioRpcError, asyncio.TimeoutError):
            pass  # The outcome was received before.
        finally:
            self.end()
