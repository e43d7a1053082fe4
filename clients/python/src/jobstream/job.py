"""The handle of a job for blocking code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

import grpc

from . import boot, outcome
from .backoff import HEARTBEAT, POLL, POLL_AGAIN, ReconnectBackoff
from .errors import DeadlineExceeded, JobstreamError, not_finished
from .options import Span, seconds
from .times import to_duration
from .v1 import job_pb2, job_service_pb2
from .watch import Watch

if TYPE_CHECKING:
    from .client import Client

T = TypeVar("T")


class Job(Generic[T]):
    """A handle of a job. Dropping the handle does not change the job."""

    def __init__(
        self,
        client: Client,
        id: str,
        returns: type[T],
        accepted_by: boot.Boot | None,
        wait_reason: str | None,
    ) -> None:
        self.client = client
        self.id = id
        self.wait_reason = wait_reason
        """Why the job waited when it was submitted: NO_WORKER if no connected worker served its kind in its queue,
        NOT_DUE, WORKERS_BUSY and others. None if it did not wait, and for the handle of an id."""
        self._returns = returns
        self._boot = accepted_by

    def result(self, timeout: Span | None = None) -> T:
        """Waits until the job ends and returns its result. Reconnects if the connection breaks.

        A timeout does not cancel the job. By default the wait is unlimited.

        Raises JobFailed, JobCancelled, NotFinished, JobNotFound, ServerRestarted, ResultExpired; Unavailable if the
        server was unavailable for `patience` seconds.
        """
        limit = None if timeout is None else seconds(timeout)
        until = None if limit is None else time.monotonic() + limit
        reconnect = ReconnectBackoff(self.client.options)
        while True:
            began = time.monotonic()
            left = None if until is None else until - began
            try:
                ended = self._poll(left)
                reconnect.connected()
                pause = max(0.0, POLL_AGAIN - (time.monotonic() - began))
            except JobstreamError as error:
                ended, pause = None, reconnect.pause(error)
            if ended is not None:
                return outcome.read_outcome(self.id, ended, self._returns)
            if until is not None and time.monotonic() + pause >= until:
                self.client._pause(max(0.0, until - time.monotonic()))
                raise not_finished(self.id, limit or 0.0)
            self.client._pause(pause)

    def _poll(self, left: float | None) -> job_pb2.Outcome | None:
        """One long poll. Returns the outcome, or None if the job has not ended."""
        wait = POLL if left is None else max(0.0, min(POLL, left))
        limit = self.client.options.call_timeout + POLL
        request = job_service_pb2.GetResultRequest(job_id=self.id, wait=to_duration(wait))
        with self.client._connection.call() as link:
            try:
                response = link.jobs.GetResult(request, timeout=limit if left is None else min(limit, left + 0.2))
                return response.outcome if response.HasField("outcome") else None
            except grpc.RpcError as error:
                converted = boot.detect_restart(self.id, self._boot, self.client._convert_error(error))
                if isinstance(converted, DeadlineExceeded):
                    # The server responds to a poll before this deadline, so the connection is broken.
                    self.client._connection.replace(link)
                raise converted from error

    def watch(self, after_sequence: int = 0, *, heartbeat: Span = HEARTBEAT) -> Watch:
        """Watches the events after this sequence in order, each once, until the job ends; see Watch."""
        return Watch(self.client, self.id, self._boot, after_sequence, seconds(heartbeat))

    def state(self) -> str:
        """SCHEDULED, QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED. Raises JobNotFound, ResultExpired."""
        request = job_service_pb2.GetResultRequest(job_id=self.id)
        try:
            response = self.client._call(lambda link, timeout: link.jobs.GetResult(request, timeout=timeout))
        except JobstreamError as error:
            raise boot.detect_restart(self.id, self._boot, error) from error.__cause__
        return outcome.state_name(response.state)

    def cancel(self, reason: str = "", grace: Span | None = None) -> str:
        """Cancels the job.

        A job that waits is cancelled immediately. The handler of a running job is asked to stop; after `grace` (default
        10 s) its lease is revoked. Returns CANCELLED, or RUNNING while the handler is stopping. Cancelling a cancelled
        job succeeds.

        Raises IllegalState if the job already succeeded or failed; JobNotFound, ResultExpired.
        """
        request = job_service_pb2.CancelRequest(job_id=self.id, reason=reason)
        if grace is not None:
            request.grace.CopyFrom(to_duration(grace))
        try:
            response = self.client._call(lambda link, timeout: link.jobs.Cancel(request, timeout=timeout))
        except JobstreamError as error:
            raise boot.detect_restart(self.id, self._boot, error) from error.__cause__
        return outcome.state_name(response.state)

    def __repr__(self) -> str:
        return f"Job({self.id!r})"
