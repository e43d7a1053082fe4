"""The calls of an asyncio client: their connection, deadline and retries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio
from typing_extensions import Self

from .. import errors, status
from ..access import Access
from ..backoff import CallRetries
from ..boot import Boot, BootCache
from ..options import Address, ClientOptions
from ..v1 import admin_service_pb2
from .connection import Connection, Link

if TYPE_CHECKING:
    from ..v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from ..v1.job_service_pb2_grpc import JobServiceAsyncStub

Response = TypeVar("Response")


class AsyncCalls:
    """The connection of a client to its server."""

    def __init__(self, address: str | None = None, options: ClientOptions | None = None) -> None:
        self.options = options or ClientOptions()
        self.address = Address.parse(address)
        self.access = Access(self.address, self.options)
        self._connection = Connection(self.access, self.options)
        self._boots = BootCache()
        self._lookups: set[asyncio.Task[None]] = set()

    @property
    def jobs(self) -> JobServiceAsyncStub:
        """The generated JobService stub on the current channel."""
        return self._connection.current().jobs

    @property
    def admin(self) -> AdminServiceAsyncStub:
        """The generated AdminService stub on the current channel."""
        return self._connection.current().admin

    async def close(self) -> None:
        """Closes the connection. Calls in flight raise Unavailable. Jobs continue."""
        for task in list(self._lookups):
            task.cancel()
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self.address.url!r})"

    async def _call(self, send: Callable[[Link, float], Awaitable[Response]]) -> Response:
        """Sends an idempotent call and retries transient errors."""
        retries = CallRetries(self.options)
        while True:
            try:
                return await self._try(send, retries)
            except errors.JobstreamError as error:
                await self._pause(retries.pause(error))

    async def _call_once(self, send: Callable[[Link, float], Awaitable[Response]]) -> Response:
        """Sends a call that must not be executed twice."""
        retries = CallRetries(self.options)
        try:
            return await self._try(send, retries)
        except errors.Unauthenticated as error:
            retries.repeat_with_new_token(error)
            return await self._try(send, retries)

    async def _try(self, send: Callable[[Link, float], Awaitable[Response]], retries: CallRetries) -> Response:
        with self._connection.call() as link:
            try:
                return await send(link, retries.timeout())
            except grpc.aio.AioRpcError as error:
                raise self._convert_error(error) from error

    def _convert_error(self, error: grpc.aio.AioRpcError) -> errors.JobstreamError:
        """Converts a gRPC error. Invalidates the boot id if the server is unavailable."""
        converted = status.from_call(error, self.address.url)
        if isinstance(converted, errors.Unavailable):
            self._boots.invalidate()
        return converted

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._connection.is_closed:
            raise errors.unavailable(self.address.url, "the client was closed")

    def _look_up_boot(self, link: Link) -> Boot | None:
        """Looks up the boot id of the server concurrently with the next call."""
        if (boot := self._boots.start_lookup()) is None:
            return self._boots.current

        async def ask() -> None:
            request = admin_service_pb2.GetServerInfoRequest()
            try:
                boot.set_from(await link.admin.GetServerInfo(request, timeout=self.options.call_timeout))
            except (grpc.aio.AioRpcError, asyncio.CancelledError, errors.JobstreamError) as error:
                # A closed channel cancels the call. Nothing awaits this task, so it must not raise.
                self._boots.failed(boot, error)

        task = asyncio.create_task(ask())
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)
        return boot
