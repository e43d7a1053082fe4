"""The handle of a job, for code that blocks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

import grpc

from . import boot, outcome
from .backoff import HEARTBEAT, POLL, POLL_AGAIN, Endurance
from .errors import DeadlineExceeded, JobstreamError, NotFinished
from .options import Span, seconds
from .times import to_duration
from .v1 import job_pb2, job_service_pb2
from .watch import Watch

if TYPE_CHECKING:
    from .client import Client

T = TypeVar("T")


class Job(Generic[T]):
    """A job, known by its id. Dropping the handle changes nothing for the job."""

    def __init__(self, client: Client, id: str, returns: type[T], accepted_by: boot.Boot | None) -> None:
        self.client = client
        self.id = id
        self._returns = returns
        self._boot = accepted_by

    def result(self, timeout: Span | None = None) -> T:
        """Waits for the job's end, across lost connections, and answers its result.

        A wait that times out never cancels the job. Default: no limit.

        Raises JobFailed, JobCancelled, NotFinished, JobNotFound, ServerRestarted, ResultExpired; Unavailable when the
        server was away for all of `patience`.
        """
        limit = None if timeout is None else seconds(timeout)
        until = None if limit is None else time.monotonic() + limit
        endurance = Endurance(self.client.options)
        while True:
            began = time.monotonic()
            left = None if until is None else until - began
            try:
                ended = self._poll(left)
                endurance.renew()
                pause = max(0.0, POLL_AGAIN - (time.monotonic() - began))
            except JobstreamError as error:
                ended, pause = None, endurance.pause(error)
            if ended is not None:
                return outcome.read_outcome(self.id, ended, self._returns)
            if until is not None and time.monotonic() + pause >= until:
                self.client._pause(max(0.0, until - time.monotonic()))
                raise NotFinished(f"job {self.id} has not finished within {limit:g} s: it goes on")
            self.client._pause(pause)

    def _poll(self, left: float | None) -> job_pb2.Outcome | None:
        """How the job ended, if it does while the server holds the call."""
        wait = POLL if left is None else max(0.0, min(POLL, left))
        limit = self.client.options.call_timeout + POLL
        request = job_service_pb2.GetResultRequest(job_id=self.id, wait=to_duration(wait))
        with self.client._connection.call() as link:
            try:
                answer = link.jobs.GetResult(request, timeout=limit if left is None else min(limit, left + 0.2))
                return answer.outcome if answer.HasField("outcome") else None
            except grpc.RpcError as error:
                explained = boot.explain(self.id, self._boot, self.client._explain(error))
                if isinstance(explained, DeadlineExceeded):
                    # The server answers a poll long before: nothing comes over this connection.
                    self.client._connection.replace(link)
                raise explained from error

    def watch(self, after_sequence: int = 0, *, heartbeat: Span = HEARTBEAT) -> Watch:
        """Every event once, in order, from after this sequence to the job's end; see Watch."""
        return Watch(self.client, self.id, self._boot, after_sequence, seconds(heartbeat))

    def state(self) -> str:
        """SCHEDULED, QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED. Raises JobNotFound, ResultExpired."""
        request = job_service_pb2.GetResultRequest(job_id=self.id)
        try:
            answer = self.client._call(lambda link, timeout: link.jobs.GetResult(request, timeout=timeout))
        except JobstreamError as error:
            raise boot.explain(self.id, self._boot, error) from error.__cause__
        return outcome.state_name(answer.state)

    def cancel(self, reason: str = "", grace: Span | None = None) -> str:
        """Ends a waiting job at once; a running one is told, and left behind after `grace` (default 10 s; 0: at once).

        Answers CANCELLED, or RUNNING while the handler is stopping. Cancelling a cancelled job is fine.

        Raises IllegalState if the job ended otherwise; JobNotFound, ResultExpired.
        """
        request = job_service_pb2.CancelRequest(job_id=self.id, reason=reason)
        if grace is not None:
            request.grace.CopyFrom(to_duration(grace))
        try:
            answer = self.client._call(lambda link, timeout: link.jobs.Cancel(request, timeout=timeout))
        except JobstreamError as error:
            raise boot.explain(self.id, self._boot, error) from error.__cause__
        return outcome.state_name(answer.state)

    def __repr__(self) -> str:
        return f"Job({self.id!r})"
