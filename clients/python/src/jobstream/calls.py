"""The calls of a blocking client: their connection, deadline and retries."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import grpc
from typing_extensions import Self

from . import errors, status
from .access import Access
from .backoff import CallRetries
from .boot import Boot, BootCache
from .connection import Connection, Link
from .options import Address, ClientOptions
from .v1 import admin_service_pb2
from .v1.admin_service_pb2_grpc import AdminServiceStub
from .v1.job_service_pb2_grpc import JobServiceStub

Response = TypeVar("Response")


class Calls:
    """The connection of a client to its server."""

    def __init__(self, address: str | None = None, options: ClientOptions | None = None) -> None:
        self.options = options or ClientOptions()
        self.address = Address.parse(address)
        self.access = Access(self.address, self.options)
        self.access.require_blocking()
        self._connection = Connection(self.access, self.options)
        self._boots = BootCache()
        self._closed = threading.Event()

    @property
    def jobs(self) -> JobServiceStub:
        """The generated JobService stub on the current channel."""
        return self._connection.current().jobs

    @property
    def admin(self) -> AdminServiceStub:
        """The generated AdminService stub on the current channel."""
        return self._connection.current().admin

    def close(self) -> None:
        """Closes the connection. Calls in flight raise Unavailable. Jobs continue."""
        self._closed.set()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.address.url!r})"

    def _call(self, send: Callable[[Link, float], Response]) -> Response:
        """Sends an idempotent call and retries transient errors."""
        retries = CallRetries(self.options)
        while True:
            try:
                return self._try(send, retries)
            except errors.JobstreamError as error:
                self._pause(retries.pause(error))

    def _call_once(self, send: Callable[[Link, float], Response]) -> Response:
        """Sends a call that must not be executed twice."""
        retries = CallRetries(self.options)
        try:
            return self._try(send, retries)
        except errors.Unauthenticated as error:
            retries.repeat_with_new_token(error)
            return self._try(send, retries)

    def _try(self, send: Callable[[Link, float], Response], retries: CallRetries) -> Response:
        with self._connection.call() as link:
            try:
                return send(link, retries.timeout())
            except grpc.RpcError as error:
                raise self._convert_error(error) from error

    def _convert_error(self, error: grpc.RpcError) -> errors.JobstreamError:
        """Converts a gRPC error. Invalidates the boot id if the server is unavailable."""
        if not isinstance(error, grpc.Call):
            return errors.unavailable(self.address.url, str(error))
        converted = status.from_call(error, self.address.url)
        if isinstance(converted, errors.Unavailable):
            self._boots.invalidate()
        return converted

    def _pause(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise errors.unavailable(self.address.url, "the client was closed")

    def _look_up_boot(self, link: Link) -> Boot | None:
        """Looks up the boot id of the server concurrently with the next call."""
        if (boot := self._boots.start_lookup()) is None:
            return self._boots.current
        request = admin_service_pb2.GetServerInfoRequest()
        response = link.admin.GetServerInfo.future(request, timeout=self.options.call_timeout)

        def take(response: grpc.Future[admin_service_pb2.GetServerInfoResponse]) -> None:
            try:
                boot.set_from(response.result())
            except (grpc.RpcError, grpc.FutureCancelledError, errors.JobstreamError) as error:
                self._boots.failed(boot, error)

        response.add_done_callback(take)
        return boot
