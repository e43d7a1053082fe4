"""The asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import grpc
import grpc.aio
from typing_extensions import Self, Unpack

from .. import errors
from ..backoff import CallRetries
from ..boot import Boot, BootCache
from ..ids import checked_job_id
from ..options import Address, ClientOptions, Span, SubmitOptions, seconds
from ..outcome import JobInfo, read_job
from ..submission import NO_INPUT, job_spec
from ..v1 import admin_service_pb2, job_service_pb2
from .connection import Connection, Link
from .job import AsyncJob
from .run import AsyncRun

if TYPE_CHECKING:
    from ..v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from ..v1.job_service_pb2_grpc import JobServiceAsyncStub

T = TypeVar("T")
Response = TypeVar("Response")


class AsyncClient:
    """A client of one server for asyncio. The first call connects and binds the client to its event loop.

    `address` is `http://HOST:PORT`, `https://HOST:PORT` (TLS) or `HOST:PORT`. The default is the environment variable
    JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.

    `close`, or the end of an `async with` block, closes the connection and does not change any job; neither does
    cancelling a task that waits.
    """

    def __init__(self, address: str | None = None, options: ClientOptions | None = None) -> None:
        self.options = options or ClientOptions()
        self.address = Address.parse(address)
        self._connection = Connection(self.address, self.options)
        self._boots = BootCache()
        self._lookups: set[asyncio.Task[None]] = set()

    @overload
    async def submit(
        self, kind: str, input: object = NO_INPUT, *, returns: type[T], **options: Unpack[SubmitOptions]
    ) -> AsyncJob[T]: ...
    @overload
    async def submit(self, kind: str, input: object = NO_INPUT, **options: Unpack[SubmitOptions]) -> AsyncJob[Any]: ...
    async def submit(
        self, kind: str, input: object = NO_INPUT, *, returns: type[Any] = object, **options: Unpack[SubmitOptions]
    ) -> AsyncJob[Any]:
        """Submits a job and returns its handle. `returns` is the type of the job's result.

        The job id is generated once and is the idempotency key of every retry. `input` is sent as JSON, bytes as bytes,
        a Payload unchanged. Without an input the payload is empty. The result can be read while the server retains the
        job: use `run` if the retention may be shorter than the time until `AsyncJob.result`.

        Raises InvalidRequest, JobIdReused, ResourceExhausted, Unavailable, DeadlineExceeded; TypeError for an input
        that cannot be encoded as JSON.
        """
        spec = job_spec(kind, input, options)
        request = job_service_pb2.SubmitRequest(job=spec)

        async def send(link: Link, timeout: float) -> tuple[str, Boot | None]:
            boot = self._look_up_boot(link)
            return (await link.jobs.Submit(request, timeout=timeout)).job_id, boot

        job_id, boot = await self._call(send)
        return AsyncJob(self, job_id, returns, boot)

    @overload
    async def run(
        self,
        kind: str,
        input: object = NO_INPUT,
        *,
        returns: type[T],
        wait: Span | None = None,
        **options: Unpack[SubmitOptions],
    ) -> T: ...
    @overload
    async def run(
        self, kind: str, input: object = NO_INPUT, *, wait: Span | None = None, **options: Unpack[SubmitOptions]
    ) -> Any: ...
    async def run(
        self,
        kind: str,
        input: object = NO_INPUT,
        *,
        returns: type[Any] = object,
        wait: Span | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Any:
        """Submits a job, waits until it ends and returns its result, decoded as `returns`.

        Submit and wait are one call, so the result is not missed even if the retention is 0. The job id is generated
        once and is the idempotency key of every retry. If the connection breaks, the call resumes as a watch. `wait` is
        the longest time to wait, by default unlimited. The job continues after it has passed, and if the task is
        cancelled.

        Raises the errors of `submit` until the job is accepted, then those of `AsyncJob.result`. After a
        DeadlineExceeded or Unavailable from before that point the job may or may not be accepted: call `run` again with
        the same `job_id`.
        """
        spec = job_spec(kind, input, options)
        return await AsyncRun(self, spec).result(returns, None if wait is None else seconds(wait))

    @overload
    def job(self, id: str, *, returns: type[T]) -> AsyncJob[T]: ...
    @overload
    def job(self, id: str) -> AsyncJob[Any]: ...
    def job(self, id: str, *, returns: type[Any] = object) -> AsyncJob[Any]:
        """A handle of the job with this id. Does not call the server. Raises InvalidRequest if the id is not a UUID."""
        return AsyncJob(self, checked_job_id(id), returns, None)

    async def get(self, id: str) -> JobInfo:
        """Reads the job with all its fields. Raises JobNotFound, ResultExpired; InvalidRequest if the id is not a UUID."""
        request = job_service_pb2.GetJobRequest(job_id=checked_job_id(id))

        async def send(link: Link, timeout: float) -> job_service_pb2.GetJobResponse:
            return await link.jobs.GetJob(request, timeout=timeout)

        return read_job((await self._call(send)).job)

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
                with self._connection.call() as link:
                    return await send(link, retries.timeout())
            except grpc.aio.AioRpcError as error:
                await self._pause(retries.pause(self._convert_error(error)))

    def _convert_error(self, error: grpc.aio.AioRpcError) -> errors.JobstreamError:
        """Converts a gRPC error. Invalidates the boot id if the server is unavailable."""
        converted = errors.from_call(error, self.address.url)
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
            except (grpc.aio.AioRpcError, asyncio.CancelledError):
                # A closed channel cancels the call. Nothing awaits this task, so it must not raise.
                self._boots.invalidate(boot)

        task = asyncio.create_task(ask())
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)
        return boot
