"""Jobs, failures and outcomes, and their conversion from the wire format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from .errors import JobCancelled, JobFailed, JobstreamError, ResultMismatch
from .payload import BadPayload, Payload, decode_as
from .times import from_timestamp
from .tracing import TraceContext
from .v1 import job_pb2

T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """The failure of an attempt, or of a job."""

    reason: str
    """The failure reason: HANDLER, ATTEMPT_TIMEOUT, WORKER_LOST, BAD_PAYLOAD and others."""
    type: str
    """The error type of the handler, such as `io.NotFound`. May be empty."""
    message: str
    details: Payload | None
    """Machine-readable details. Python handlers send the stack trace."""
    attempt: int
    """The attempt that failed, from 1."""
    retryable: bool
    """Whether a retry may succeed."""


@dataclass(frozen=True)
class JobInfo:
    """A snapshot of a job. `proto` is the complete message."""

    id: str
    state: str
    wait_reason: str | None
    """Why a waiting job is not running, such as NO_WORKER or BACK_OFF."""
    kind: str
    queue: str
    attempt: int
    """Number of the current or last attempt; 0 before the first."""
    sequence: int
    """Sequence number of the newest event."""
    input: Payload
    labels: dict[str, str]
    headers: dict[str, str]
    trace_context: TraceContext | None
    """The trace of the submitter; None if it has none."""
    cancel_requested: bool
    create_time: datetime | None
    start_time: datetime | None
    finish_time: datetime | None
    proto: job_pb2.Job


def state_name(state: job_pb2.JobState.ValueType) -> str:
    """SCHEDULED, QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED."""
    return short_name(job_pb2.JobState.Name, state, "JOB_STATE_")


def wait_reason(reason: job_pb2.WaitReason.ValueType) -> str | None:
    """The name of the reason, such as NO_WORKER. None if the job does not wait."""
    if reason == job_pb2.WAIT_REASON_UNSPECIFIED:
        return None
    return short_name(job_pb2.WaitReason.Name, reason, "WAIT_REASON_")


Value = TypeVar("Value", bound=int)


def short_name(name: Callable[[Value], str], value: Value, prefix: str) -> str:
    """The name of an enum value without its prefix; UNKNOWN for a value of a newer server."""
    try:
        return name(value).removeprefix(prefix)
    except ValueError:
        return "UNKNOWN"


def is_final(state: str) -> bool:
    return state in ("SUCCEEDED", "FAILED", "CANCELLED")


def read_failure(failure: job_pb2.Failure) -> Failure:
    return Failure(
        reason=short_name(job_pb2.FailureReason.Name, failure.reason, "FAILURE_REASON_"),
        type=failure.type,
        message=failure.message,
        details=Payload.from_proto(failure.details) if failure.HasField("details") else None,
        attempt=failure.attempt,
        retryable=failure.retryable,
    )


def read_outcome(job_id: str, outcome: job_pb2.Outcome, wanted: type[T]) -> T:
    """Decodes the result of a job that ended.

    Raises JobFailed, JobCancelled; ResultMismatch if the result cannot be decoded as the requested type.
    """
    match outcome.WhichOneof("end"):
        case "result":
            try:
                return decode_as(Payload.from_proto(outcome.result), wanted)
            except BadPayload as error:
                raise ResultMismatch(
                    f"job {job_id} succeeded, but its result does not match the requested type: {error}"
                ) from error
        case "failure":
            raise JobFailed(job_id, read_failure(outcome.failure))
        case "cancellation":
            raise JobCancelled(job_id, outcome.cancellation.reason, outcome.cancellation.forced)
        case _:
            raise JobstreamError(f"job {job_id} has an outcome that this client does not know: upgrade the client")


def read_job(job: job_pb2.Job) -> JobInfo:
    return JobInfo(
        id=job.job_id,
        state=state_name(job.state),
        wait_reason=wait_reason(job.wait_reason),
        kind=job.spec.kind,
        queue=job.spec.queue,
        attempt=job.attempt,
        sequence=job.sequence,
        input=Payload.from_proto(job.spec.payload),
        labels=dict(job.spec.labels),
        headers=dict(job.spec.headers),
        trace_context=TraceContext.from_proto(job.spec.trace_context),
        cancel_requested=job.cancel_requested,
        create_time=from_timestamp(job.create_time) if job.HasField("create_time") else None,
        start_time=from_timestamp(job.start_time) if job.HasField("start_time") else None,
        finish_time=from_timestamp(job.finish_time) if job.HasField("finish_time") else None,
        proto=job,
    )
