"""The blocking client. See `jobstream.aio` for asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, Union, overload

import grpc
from typing_extensions import Unpack

from .backoff import HEARTBEAT
from .batch import Batch, Entry, JobRequest
from .boot import Boot
from .changes import ChangeFilter, first_request
from .connection import Link
from .deletion import Deletion
from .errors import JobstreamError
from .feed import Feed
from .ids import checked_job_id, new_job_id
from .interceptors import BatchEntry, JobSpec, SubmitInterceptor, Submitted, chained, checked
from .job import Job
from .listing import JobFilter, first_page, next_page
from .options import ClientOptions, Span, SubmitOptions, seconds
from .outcome import JobInfo, read_job, wait_reason
from .queue_calls import QueueCalls
from .run import run_job
from .submission import NO_INPUT, job_spec
from .tracing import tracing_of
from .v1 import job_service_pb2

T = TypeVar("T")
SubmitResults = list[Union[Job[T], JobstreamError]]


class Client(QueueCalls):
    """A client of one server. It connects at the first call. It is thread-safe.

    `address` is `http://HOST:PORT`, `https://HOST:PORT` (TLS) or `HOST:PORT`. The default is the environment variable
    JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.

    `interceptors` are called around each submit, the first outermost: `def intercept(spec, next): return next(spec)`.
    They may change the JobSpec, and raise instead of calling `next`.

    `close`, or the end of a `with` block, closes the connection and does not change any job. Create clients after a
    fork, not before.
    """

    def __init__(
        self,
        address: str | None = None,
        options: ClientOptions | None = None,
        *,
        interceptors: Sequence[SubmitInterceptor] = (),
    ) -> None:
        super().__init__(address, options)
        self._interceptors: tuple[SubmitInterceptor, ...] = checked(interceptors, "Client", is_async=False)
        self._tracing = tracing_of(self.options)

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
        spec = JobSpec(job_spec(kind, input, options))
        with self._tracing.submit(spec):
            submitted = chained(self._interceptors, self._submit)(spec)
        return Job(self, submitted.job_id, returns, submitted.boot, submitted.wait_reason)

    def _submit(self, spec: JobSpec) -> Submitted:
        request = job_service_pb2.SubmitRequest(job=spec.proto)

        def send(link: Link, timeout: float) -> tuple[job_service_pb2.SubmitResponse, Boot | None]:
            boot = self._look_up_boot(link)
            return link.jobs.Submit(request, timeout=timeout), boot

        response, boot = self._call(send)
        return Submitted(response.job_id, wait_reason(response.wait_reason), boot)

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
        spec = JobSpec(job_spec(kind, input, options))
        return run_job(self, spec, None if wait is None else seconds(wait), returns)

    @overload
    def job(self, id: str, *, returns: type[T]) -> Job[T]: ...
    @overload
    def job(self, id: str) -> Job[Any]: ...
    def job(self, id: str, *, returns: type[Any] = object) -> Job[Any]:
        """A handle of the job with this id. Does not call the server. Raises InvalidRequest if the id is not a UUID."""
        return Job(self, checked_job_id(id), returns, None, None)

    def get(self, id: str) -> JobInfo:
        """Reads the job with all its fields. Raises JobNotFound, ResultExpired, InvalidRequest."""
        request = job_service_pb2.GetJobRequest(job_id=checked_job_id(id))
        return read_job(self._call(lambda link, timeout: link.jobs.GetJob(request, timeout=timeout)).job)

    def list(self, **filter: Unpack[JobFilter]) -> Iterator[JobInfo]:
        """The jobs that match all conditions, newest first, without inputs. Pages are read as the iterator advances.

        Raises InvalidRequest for an unknown state.
        """
        return self._list(first_page(filter))

    def watch_jobs(
        self, *, after_cursor: str = "", heartbeat: Span = HEARTBEAT, **filter: Unpack[ChangeFilter]
    ) -> Feed:
        """The state changes of all jobs that match all conditions, from now on or after the cursor of an earlier feed.

        The server sends a heartbeat after `heartbeat` without a change. Raises InvalidRequest for an unknown
        state.
        """
        interval = seconds(heartbeat)
        request = first_request(filter, after_cursor, interval)
        return Feed(self, request, after_cursor, interval)

    def _list(self, request: job_service_pb2.ListJobsRequest | None) -> Iterator[JobInfo]:
        while request is not None:
            page = self._job_page(request)
            yield from map(read_job, page.jobs)
            request = next_page(request, page)

    def _job_page(self, request: job_service_pb2.ListJobsRequest) -> job_service_pb2.ListJobsResponse:
        return self._call(lambda link, timeout: link.jobs.ListJobs(request, timeout=timeout))

    @overload
    def submit_all(self, requests: Iterable[JobRequest], *, returns: type[T]) -> SubmitResults[T]: ...
    @overload
    def submit_all(self, requests: Iterable[JobRequest]) -> SubmitResults[Any]: ...
    def submit_all(self, requests: Iterable[JobRequest], *, returns: type[Any] = object) -> SubmitResults[Any]:
        """Submits many jobs in calls of up to 1,000. Returns a job or an error for each request, in order.

        A refused job does not affect the others, and neither does one whose interceptor raised a JobstreamError. If a
        call fails, its jobs and all later ones get its error and no further call is sent. After any error a request can
        be submitted again: it gives one job. Interceptors run before the call of their job is sent.
        """
        results: SubmitResults[Any] = []
        unsent = iter(requests)
        for batch in self._batches(unsent):
            try:
                results += self._submit_batch(batch, returns)
            except JobstreamError as error:
                results += [error] * len(batch.entries)
                results += [error for _ in unsent]
        return results

    def _batches(self, requests: Iterator[JobRequest]) -> Iterator[Batch]:
        batch = Batch()
        for request in requests:
            batch.add(self._entry(request))
            if batch.is_full:
                yield batch
                batch = Batch()
        if batch.entries:
            yield batch

    def _entry(self, request: JobRequest) -> Entry:
        """The job after its interceptors, or their error."""
        if not self._interceptors and not self._tracing.is_active:
            return request._spec
        entry, spec = BatchEntry(), request._copy()
        try:
            with self._tracing.submit(spec):
                chained(self._interceptors, entry.add)(spec)
        except JobstreamError as error:
            return error
        return entry.sent(request.job_id)

    def _submit_batch(self, batch: Batch, returns: type[Any]) -> SubmitResults[Any]:
        request, response, boot = batch.request(), job_service_pb2.BatchSubmitResponse(), None
        if request is not None:
            jobs = request

            def send(link: Link, timeout: float) -> tuple[job_service_pb2.BatchSubmitResponse, Boot | None]:
                boot = self._look_up_boot(link)
                return link.jobs.BatchSubmit(jobs, timeout=timeout), boot

            response, boot = self._call(send)
        return [
            result
            if isinstance(result, JobstreamError)
            else Job(self, result.job_id, returns, boot, wait_reason(result.wait_reason))
            for result in batch.results(response, self.address.url)
        ]

    @overload
    def retry(self, id: str, *, returns: type[T]) -> Job[T]: ...
    @overload
    def retry(self, id: str) -> Job[Any]: ...
    def retry(self, id: str, *, returns: type[Any] = object) -> Job[Any]:
        """Submits a finished job again, as a new job. The finished job does not change.

        The id of the new job is generated once and is the idempotency key of every retry of the call. Raises
        IllegalState if the job has not ended; JobNotFound, ResultExpired.
        """
        request = job_service_pb2.RetryRequest(job_id=checked_job_id(id), new_job_id=new_job_id())

        def send(link: Link, timeout: float) -> tuple[job_service_pb2.RetryResponse, Boot | None]:
            boot = self._look_up_boot(link)
            return link.jobs.Retry(request, timeout=timeout, metadata=self._tracing.headers()), boot

        retried, boot = self._call(send)
        return Job(self, retried.job_id, returns, boot, wait_reason(retried.wait_reason))

    def delete(self, id: str) -> None:
        """Removes a finished job and its result. Raises IllegalState if it has not ended; JobNotFound, ResultExpired.

        Succeeds if the response of a first try was lost and the next try finds no job.
        """
        request = job_service_pb2.DeleteRequest(job_id=checked_job_id(id))
        deletion = Deletion()

        def send(link: Link, timeout: float) -> None:
            try:
                link.jobs.Delete(request, timeout=timeout)
            except grpc.RpcError as error:
                deletion.on_error(self._convert_error(error))

        self._call(send)
