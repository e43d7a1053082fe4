"""Submits a job and waits for its outcome in one call (blocking). The outcome is received even if the retention is 0.

clients/README.md, "Submit and wait", has the rule: a Run stream until the submit is acknowledged; if the stream breaks
after that, a watch that resumes after the last sequence.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc

from .backoff import HEARTBEAT, CallRetries
from .errors import DeadlineExceeded, ErrorDetails, JobstreamError, not_finished, unavailable
from .events import Cursor, Message
from .interceptors import JobSpec, Submitted, chained, not_sent
from .outcome import read_outcome
from .times import to_duration
from .v1 import job_pb2, job_service_pb2
from .watch import Call, Watch

if TYPE_CHECKING:
    from .client import Client
    from .connection import Link

DEADLINE_SLACK = 0.1
"""A call may end this many seconds before its deadline, because client and server have separate clocks."""

STATES = [job_service_pb2.EVENT_TYPE_STATE_CHANGE]


def run_cursor(spec: job_pb2.JobSpec) -> Cursor:
    """The cursor of a run. It requests state changes only."""
    cursor = Cursor(spec.job_id, 0, HEARTBEAT)
    cursor.types = STATES
    return cursor


def run_request(spec: job_pb2.JobSpec, cursor: Cursor) -> job_service_pb2.RunRequest:
    return job_service_pb2.RunRequest(job=spec, types=cursor.types, heartbeat=to_duration(cursor.heartbeat))


def not_submitted(job_id: str, wait: float) -> DeadlineExceeded:
    message = f"job {job_id}: no response within {wait:g} s: it may be accepted: run it again with the same job_id"
    return DeadlineExceeded(message, ErrorDetails(code=grpc.StatusCode.DEADLINE_EXCEEDED.name))


def run_job(client: Client, spec: JobSpec, wait: float | None, wanted: type[Any]) -> Any:
    """Submits a job through the interceptors of the client and waits for its result."""
    runs: list[Run] = []

    def send(job: JobSpec) -> Submitted:
        runs.append(Run(client, job.proto, wait))
        return runs[-1].submit()

    try:
        with client._tracing.submit(spec):
            chained(client._interceptors, send)(spec)
        if not runs:
            raise not_sent(spec.job_id)
        return runs[-1].result(wanted)
    finally:
        for each in runs:
            each._drop()


class Run(Watch):
    """A watch whose first stream submits the job. `wait` limits the time in seconds; None means no limit."""

    def __init__(self, client: Client, spec: job_pb2.JobSpec, wait: float | None) -> None:
        super().__init__(client, spec.job_id, None, 0, HEARTBEAT)
        self._cursor = run_cursor(spec)
        self._spec = spec
        self._wait = wait
        self._until = float("inf") if wait is None else time.monotonic() + wait
        self._retries = CallRetries(client.options)
        self._is_submitted = False

    def submit(self) -> Submitted:
        """Waits until the server has accepted the job."""
        next(self, None)
        return Submitted(self._spec.job_id)

    def result(self, wanted: type[Any]) -> Any:
        """Waits until the job ends and returns its result."""
        for _ in self:
            pass
        if self._cursor.outcome is None:
            raise unavailable(self._client.address.url, "the run was closed")
        return read_outcome(self._spec.job_id, self._cursor.outcome, wanted)

    def _begin(self, link: Link) -> Call:
        timeout = None if self._wait is None else max(0.0, self._until - time.monotonic())
        if self._is_submitted:
            return link.jobs.WatchResult(self._cursor.request(), timeout=timeout)
        self._boot = self._client._look_up_boot(link)
        return link.jobs.Run(run_request(self._spec, self._cursor), timeout=timeout)

    def _idle_timeout(self) -> float:
        return super()._idle_timeout() if self._is_submitted else self._retries.timeout()

    def _message(self) -> Message:
        if self._client._closed.is_set():
            raise unavailable(self._client.address.url, "the client was closed")
        message = super()._message()
        if not self._is_submitted and self._stream is not None:
            self._is_submitted = True
            self._stream.idle_timeout = self._idle_timeout()
        return message

    def _pause(self, error: JobstreamError) -> float:
        if self._client._closed.is_set():
            raise error
        left = self._until - time.monotonic()
        is_late = isinstance(error, DeadlineExceeded) and left < DEADLINE_SLACK
        pause = 0.0 if is_late else super()._pause(error) if self._is_submitted else self._retries.pause(error)
        if self._wait is not None and (is_late or pause >= left):
            self._closed.wait(max(0.0, left))
            raise self._wait_timed_out(self._wait) from error
        return pause

    def _wait_timed_out(self, wait: float) -> JobstreamError:
        return (not_finished if self._is_submitted else not_submitted)(self._spec.job_id, wait)
