"""Submits jobs and finds them again, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import grpc
import grpc.aio
from typing_extensions import Self, Unpack

from .. import errors
from ..backoff import Tries
from ..boot import Boot, BootMemory
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
Answer = TypeVar("Answer")


class AsyncClient:
    """A client of one server, for asyncio. It is lazy: the first call connects, and binds it to its event loop.

    `address` is such as `http://127.0.0.1:7070`, `https://jobs.example.com` or `host:port`; `https` is TLS. Default:
    the environment's JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.

    Closing it, by `close` or at the end of an `async with`, never touches jobs; nor does cancelling a task that waits.
    """

    def __init__(self, address: str | None = None, options: ClientOptions | None = None) -> None:
        self.options = options or ClientOptions()
        self.address = Address.parse(address)
        self._connection = Connection(self.address, self.options)
        self._boots = BootMemory()
        self._asking: set[asyncio.Task[None]] = set()

    @overload
    async def submit(
        self, kind: str, input: object = NO_INPUT, *, returns: type[T], **options: Unpack[SubmitOptions]
    ) -> AsyncJob[T]: ...
    @overload
    async def submit(self, kind: str, input: object = NO_INPUT, **options: Unpack[SubmitOptions]) -> AsyncJob[Any]: ...
    async def submit(
        self, kind: str, input: object = NO_INPUT, *, returns: type[Any] = object, **options: Unpack[SubmitOptions]
    ) -> AsyncJob[Any]:
        """Submits a job and answers its handle, whose result is read as `returns`.

        The job's id is minted before the first try, so that no retry is a second job. `input` is sent as JSON, bytes
        as bytes, a Payload as it is; without any the payload is empty. Its result can be had while it is retained: use
        `run` where that may be shorter than the way to `AsyncJob.result`.

        Raises InvalidRequest, JobIdReused, ResourceExhausted, Unavailable, DeadlineExceeded; TypeError for an input
        that has no JSON.
        """
        spec = job_spec(kind, input, options)
        request = job_service_pb2.SubmitRequest(job=spec)

        async def send(link: Link, timeout: float) -> tuple[str, Boot | None]:
            boot = self._ask_boot(link)
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
        """Submits a job, waits for its end and answers its result, read as `returns`: in one call, so that no retention
        is too short for the end to be seen.

        The job's id is minted before the first try, so that no retry is a second job. When its connection breaks, it
        goes on with a watch. `wait` is the longest it may take; the job goes on when it has passed, and when the task
        is cancelled. Default: no limit.

        Raises as `submit`, until the job was accepted; then as `Job.result`. DeadlineExceeded and Unavailable of before
        that tell nothing of whether the job was accepted: run it again with the same `job_id`.
        """
        spec = job_spec(kind, input, options)
        return await AsyncRun(self, spec).result(returns, None if wait is None else seconds(wait))

    @overload
    def job(self, id: str, *, returns: type[T]) -> AsyncJob[T]: ...
    @overload
    def job(self, id: str) -> AsyncJob[Any]: ...
    def job(self, id: str, *, returns: type[Any] = object) -> AsyncJob[Any]:
        """The handle of a job known by its id. Nothing is asked of the server."""
        return AsyncJob(self, id, returns, None)

    async def get(self, id: str) -> JobInfo:
        """The whole job. Raises JobNotFound, ResultExpired."""
        request = job_service_pb2.GetJobRequest(job_id=id)

        async def send(link: Link, timeout: float) -> job_service_pb2.GetJobResponse:
            return await link.jobs.GetJob(request, timeout=timeout)

        return read_job((await self._call(send)).job)

    @property
    def jobs(self) -> JobServiceAsyncStub:
        """The raw stub of the JobService, on the present channel."""
        return self._connection.present().jobs

    @property
    def admin(self) -> AdminServiceAsyncStub:
        """The raw stub of the AdminService, on the present channel."""
        return self._connection.present().admin

    async def close(self) -> None:
        """Ends the connection, and calls under way with Unavailable. Jobs go on."""
        for task in list(self._asking):
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

    async def _call(self, send: Callable[[Link, float], Awaitable[Answer]]) -> Answer:
        """A call that may arrive twice, tried again while the server is away or full."""
        tries = Tries(self.options)
        while True:
            try:
                with self._connection.call() as link:
                    return await send(link, tries.timeout())
            except grpc.aio.AioRpcError as error:
                await self._pause(tries.pause(self._explain(error)))

    def _explain(self, error: grpc.aio.AioRpcError) -> errors.JobstreamError:
        """What a failed call means."""
        explained = errors.from_call(error, self.address.url)
        if isinstance(explained, errors.Unavailable):
            self._boots.forget()
        return explained

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._connection.is_closed:
            raise errors.unavailable(self.address.url, "the client was closed")

    def _ask_boot(self, link: Link) -> Boot | None:
        """Has the server tell which start of it this is, beside whatever else is asked."""
        if (boot := self._boots.to_ask()) is None:
            return self._boots.present

        async def ask() -> None:
            request = admin_service_pb2.GetServerInfoRequest()
            try:
                boot.learn(await link.admin.GetServerInfo(request, timeout=self.options.call_timeout))
            except (grpc.aio.AioRpcError, asyncio.CancelledError):
                # Cancelled by a channel that was closed: nobody waits for this task.
                self._boots.forget(boot)

        task = asyncio.create_task(ask())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return boot
