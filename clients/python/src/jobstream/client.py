"""Submits jobs and finds them again; each call blocks its thread. See `jobstream.aio` for asyncio."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, overload

import grpc
from typing_extensions import Self, Unpack

from . import errors
from .backoff import Tries
from .boot import Boot, BootMemory
from .connection import Connection, Link
from .job import Job
from .options import Address, ClientOptions, Span, SubmitOptions, seconds
from .outcome import JobInfo, read_job
from .run import Run
from .submission import NO_INPUT, job_spec
from .v1 import admin_service_pb2, job_service_pb2
from .v1.admin_service_pb2_grpc import AdminServiceStub
from .v1.job_service_pb2_grpc import JobServiceStub

T = TypeVar("T")
Answer = TypeVar("Answer")


class Client:
    """A client of one server. It is lazy: the first call connects. Threads may share it.

    `address` is such as `http://127.0.0.1:7070`, `https://jobs.example.com` or `host:port`; `https` is TLS. Default:
    the environment's JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.

    Closing it, by `close` or at the end of a `with`, never touches jobs. Make clients after a fork, not before.
    """

    def __init__(self, address: str | None = None, options: ClientOptions | None = None) -> None:
        self.options = options or ClientOptions()
        self.address = Address.parse(address)
        self._connection = Connection(self.address, self.options)
        self._boots = BootMemory()
        self._closed = threading.Event()

    @overload
    def submit(
        self, kind: str, input: object = NO_INPUT, *, returns: type[T], **options: Unpack[SubmitOptions]
    ) -> Job[T]: ...
    @overload
    def submit(self, kind: str, input: object = NO_INPUT, **options: Unpack[SubmitOptions]) -> Job[Any]: ...
    def submit(
        self, kind: str, input: object = NO_INPUT, *, returns: type[Any] = object, **options: Unpack[SubmitOptions]
    ) -> Job[Any]:
        """Submits a job and answers its handle, whose result is read as `returns`.

        The job's id is minted before the first try, so that no retry is a second job. `input` is sent as JSON, bytes
        as bytes, a Payload as it is; without any the payload is empty. Its result can be had while it is retained: use
        `run` where that may be shorter than the way to `Job.result`.

        Raises InvalidRequest, JobIdReused, ResourceExhausted, Unavailable, DeadlineExceeded; TypeError for an input
        that has no JSON.
        """
        spec = job_spec(kind, input, options)
        request = job_service_pb2.SubmitRequest(job=spec)

        def send(link: Link, timeout: float) -> tuple[str, Boot | None]:
            boot = self._ask_boot(link)
            return link.jobs.Submit(request, timeout=timeout).job_id, boot

        job_id, boot = self._call(send)
        return Job(self, job_id, returns, boot)

    @overload
    def run(
        self,
        kind: str,
        input: object = NO_INPUT,
        *,
        returns: type[T],
        wait: Span | None = None,
        **options: Unpack[SubmitOptions],
    ) -> T: ...
    @overload
    def run(
        self, kind: str, input: object = NO_INPUT, *, wait: Span | None = None, **options: Unpack[SubmitOptions]
    ) -> Any: ...
    def run(
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
        goes on with a watch. `wait` is the longest it may take; the job goes on when it has passed. Default: no limit.

        Raises as `submit`, until the job was accepted; then as `Job.result`. DeadlineExceeded and Unavailable of before
        that tell nothing of whether the job was accepted: run it again with the same `job_id`.
        """
        spec = job_spec(kind, input, options)
        return Run(self, spec, None if wait is None else seconds(wait)).result(returns)

    @overload
    def job(self, id: str, *, returns: type[T]) -> Job[T]: ...
    @overload
    def job(self, id: str) -> Job[Any]: ...
    def job(self, id: str, *, returns: type[Any] = object) -> Job[Any]:
        """The handle of a job known by its id. Nothing is asked of the server."""
        return Job(self, id, returns, None)

    def get(self, id: str) -> JobInfo:
        """The whole job. Raises JobNotFound, ResultExpired."""
        request = job_service_pb2.GetJobRequest(job_id=id)
        return read_job(self._call(lambda link, timeout: link.jobs.GetJob(request, timeout=timeout)).job)

    @property
    def jobs(self) -> JobServiceStub:
        """The raw stub of the JobService, on the present channel."""
        return self._connection.present().jobs

    @property
    def admin(self) -> AdminServiceStub:
        """The raw stub of the AdminService, on the present channel."""
        return self._connection.present().admin

    def close(self) -> None:
        """Ends the connection, and calls under way with Unavailable. Jobs go on."""
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

    def _call(self, send: Callable[[Link, float], Answer]) -> Answer:
        """A call that may arrive twice, tried again while the server is away or full."""
        tries = Tries(self.options)
        while True:
            try:
                with self._connection.call() as link:
                    return send(link, tries.timeout())
            except grpc.RpcError as error:
                self._pause(tries.pause(self._explain(error)))

    def _explain(self, error: grpc.RpcError) -> errors.JobstreamError:
        """What a failed call means."""
        if not isinstance(error, grpc.Call):
            return errors.unavailable(self.address.url, str(error))
        explained = errors.from_call(error, self.address.url)
        if isinstance(explained, errors.Unavailable):
            self._boots.forget()
        return explained

    def _pause(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise errors.unavailable(self.address.url, "the client was closed")

    def _ask_boot(self, link: Link) -> Boot | None:
        """Has the server tell which start of it this is, beside whatever else is asked."""
        if (boot := self._boots.to_ask()) is None:
            return self._boots.present
        request = admin_service_pb2.GetServerInfoRequest()
        answer = link.admin.GetServerInfo.future(request, timeout=self.options.call_timeout)

        def take(answer: grpc.Future[admin_service_pb2.GetServerInfoResponse]) -> None:
            try:
                boot.learn(answer.result())
            except (grpc.RpcError, grpc.FutureCancelledError):
                self._boots.forget(boot)

        answer.add_done_callback(take)
        return boot
