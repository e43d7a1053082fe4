"""The blocking client. See `jobstream.aio` for asyncio."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, overload

import grpc
from typing_extensions import Self, Unpack

from . import errors
from .backoff import CallRetries
from .boot import Boot, BootCache
from .connection import Connection, Link
from .ids import checked_job_id
from .job import Job
from .options import Address, ClientOptions, Span, SubmitOptions, seconds
from .outcome import JobInfo, read_job
from .run import Run
from .submission import NO_INPUT, job_spec
from .v1 import admin_service_pb2, job_service_pb2
from .v1.admin_service_pb2_grpc import AdminServiceStub
from .v1.job_service_pb2_grpc import JobServiceStub

T = TypeVar("T")
Response = TypeVar("Response")


class Client:
    """A client of one server. It connects at the first call. It is thread-safe.

    `address` is `http://HOST:PORT`, `https://HOST:PORT` (TLS) or `HOST:PORT`. The default is the environment variable
    JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.

    `close`, or the end of a `with` block, closes the connection and does not change any job. Create clients after a
    fork, not before.
    """

    def __init__(self, address: str | None = None, options: ClientOptions | None = None) -> None:
        self.options = options or ClientOptions()
        self.address = Address.parse(address)
        self._connection = Connection(self.address, self.options)
        self._boots = BootCache()
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
        """Submits a job and returns its handle. `returns` is the type of the job's result.

        The job id is generated once and is the idempotency key of every retry. `input` is sent as JSON, bytes as bytes,
        a Payload unchanged. Without an input the payload is empty. The result can be read while the server retains the
        job: use `run` if the retention may be shorter than the time until `Job.result`.

        Raises InvalidRequest, JobIdReused, ResourceExhausted, Unavailable, DeadlineExceeded; TypeError for an input
        that cannot be encoded as JSON.
        """
        spec = job_spec(kind, input, options)
        request = job_service_pb2.SubmitRequest(job=spec)

        def send(link: Link, timeout: float) -> tuple[str, Boot | None]:
            boot = self._look_up_boot(link)
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
        """Submits a job, waits until it ends and returns its result, decoded as `returns`.

        Submit and wait are one call, so the result is not missed even if the retention is 0. The job id is generated
        once and is the idempotency key of every retry. If the connection breaks, the call resumes as a watch. `wait` is
        the longest time to wait, by default unlimited. The job continues after it has passed.

        Raises the errors of `submit` until the job is accepted, then those of `Job.result`. After a DeadlineExceeded or
        Unavailable from before that point the job may or may not be accepted: call `run` again with the same `job_id`.
        """
        spec = job_spec(kind, input, options)
        return Run(self, spec, None if wait is None else seconds(wait)).result(returns)

    @overload
    def job(self, id: str, *, returns: type[T]) -> Job[T]: ...
    @overload
    def job(self, id: str) -> Job[Any]: ...
    def job(self, id: str, *, returns: type[Any] = object) -> Job[Any]:
        """A handle of the job with this id. Does not call the server. Raises InvalidRequest if the id is not a UUID."""
        return Job(self, checked_job_id(id), returns, None)

    def get(self, id: str) -> JobInfo:
        """Reads the job with all its fields. Raises JobNotFound, ResultExpired; InvalidRequest if the id is not a UUID."""
        request = job_service_pb2.GetJobRequest(job_id=checked_job_id(id))
        return read_job(self._call(lambda link, timeout: link.jobs.GetJob(request, timeout=timeout)).job)

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
                with self._connection.call() as link:
                    return send(link, retries.timeout())
            except grpc.RpcError as error:
                self._pause(retries.pause(self._convert_error(error)))

    def _convert_error(self, error: grpc.RpcError) -> errors.JobstreamError:
        """Converts a gRPC error. Invalidates the boot id if the server is unavailable."""
        if not isinstance(error, grpc.Call):
            return errors.unavailable(self.address.url, str(error))
        converted = errors.from_call(error, self.address.url)
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
            except (grpc.RpcError, grpc.FutureCancelledError):
                self._boots.invalidate(boot)

        response.add_done_callback(take)
        return boot
