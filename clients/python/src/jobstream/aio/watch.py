"""Follows a job's events to its end, across cut and silent streams, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Union

import grpc
import grpc.aio
from typing_extensions import Self

from .. import boot
from ..backoff import HEARTBEATS_MISSED_MAX, Endurance
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
    """The events of one job, in order, none twice, none missed; it ends after the one that ends the job.

    A stream that is cut, refused for now or silent for three heartbeats is opened anew after the last sequence seen.
    Iterating raises JobNotFound, ServerRestarted, ResultExpired, and Unavailable when the server was away for all of
    `patience`. `aclose`, the end of an `async with`, or a cancelled task ends it; the job goes on.
    """

    def __init__(
        self, client: AsyncClient, job_id: str, accepted_by: boot.Boot | None, after_sequence: int, heartbeat: float
    ) -> None:
        self._client, self._boot = client, accepted_by
        self._cursor = Cursor(job_id, after_sequence, heartbeat)
        self._endurance = Endurance(client.options)
        self._call: Call | None = None
        self._link: Link | None = None
        self._closed = False

    @property
    def last_sequence(self) -> int:
        """Sequence of the newest item that was told: another watch can go on after it."""
        return self._cursor.last

    async def __anext__(self) -> WatchItem:
        while not self._cursor.is_over and not self._closed:
            try:
                message = await self._message()
            except JobstreamError as error:
                self._leave()
                if self._closed:
                    break
                explained = boot.explain(self._cursor.job_id, self._boot, error)
                try:
                    pause = self._pause(explained)
                except JobstreamError:
                    self._closed = True
                    raise
                await self._client._pause(pause)
                continue
            self._endurance.renew()
            item = self._cursor.unseen(message)
            if self._cursor.is_over:
                await self._close()
            if item is not None:
                return item
        self._leave()
        raise StopAsyncIteration

    def _begin(self, link: Link) -> Call:
        """Opens a stream."""
        return link.jobs.WatchResult(self._cursor.request())

    def _silence_max(self) -> float:
        """How long the stream may be silent before its next message."""
        return self._cursor.heartbeat * HEARTBEATS_MISSED_MAX

    def _pause(self, error: JobstreamError) -> float:
        """How long to wait before the next stream; raises the error if that does not help, or for too long."""
        return self._endurance.pause(error)

    async def _message(self) -> Message:
        """The next message of the stream at hand, or of a new one."""
        address = self._client.address.url
        if self._call is None or self._link is None:
            self._link = self._client._connection.hold()
            self._call = self._begin(self._link)
        try:
            message = await asyncio.wait_for(self._call.read(), self._silence_max())
        except asyncio.TimeoutError as error:
            self._client._connection.replace(self._link)
            raise unavailable(address, "the stream fell silent") from error
        except asyncio.CancelledError:
            # With the read its call is cancelled: whoever iterates again resumes on a new one.
            self._leave()
            if self._closed or self._client._connection.is_closed:
                raise unavailable(address, "the watch or its client was closed") from None
            raise
        except grpc.aio.AioRpcError as error:
            raise self._client._explain(error) from error
        if not isinstance(message, (job_service_pb2.WatchResultResponse, job_service_pb2.RunResponse)):
            # The server ends a stream well only after the event that ends the job: something between us did it.
            raise unavailable(address, "the stream ended before the job")
        return message

    async def _close(self) -> None:
        """Lets the stream close by itself after the event that ends the job: to cancel it would reset it."""
        if self._call is not None:
            try:
                await asyncio.wait_for(self._call.read(), CLOSE_TIMEOUT)
            except (grpc.aio.AioRpcError, asyncio.TimeoutError):
                pass  # The job's end is known.
            finally:
                self._leave()

    def _leave(self) -> None:
        call, self._call = self._call, None
        link, self._link = self._link, None
        if call is not None and link is not None:
            call.cancel()
            self._client._connection.release(link)

    async def aclose(self) -> None:
        """Ends the watch: who iterates gets the end."""
        self._closed = True
        self._leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
