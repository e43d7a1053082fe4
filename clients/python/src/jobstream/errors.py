"""What can go wrong, and what the server says about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from .outcome import Failure

DOMAIN = "jobstream"
"""Of the reasons that this API defines; others come from something between us and the server."""
STATUS_DETAILS = "grpc-status-details-bin"

Metadata = Iterable[tuple[str, Union[str, bytes]]]


@dataclass(frozen=True)
class Violation:
    """A rule that a field of a request breaks."""

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


@dataclass(frozen=True)
class Facts:
    """What is known of an error beside its message."""

    code: str = ""
    reason: str = ""
    retry_after: float | None = None
    violations: Sequence[Violation] = ()
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class JobstreamError(Exception):
    """The base of all errors of this package.

    `code` is the gRPC status code, such as `NOT_FOUND`, empty if no call failed. `reason` is the server's stable name
    for what happened, such as `JOB_NOT_FOUND`, empty if it was not the server that said it. `retry_after` is the pause
    in seconds that the server asks for before another try, `None` if it does not suggest one.
    """

    def __init__(self, message: str, facts: Facts | None = None) -> None:
        super().__init__(message)
        facts = facts or Facts()
        self.message = message
        self.code = facts.code
        self.reason = facts.reason
        self.retry_after = facts.retry_after
        self.violations = list(facts.violations)
        self.metadata = dict(facts.metadata)

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later."""
        return False


class JobFailed(JobstreamError):
    """The job ended FAILED; `failure` says why."""

    def __init__(self, job_id: str, failure: Failure) -> None:
        attempts = f"attempt {failure.attempt}" if failure.attempt else "before its first attempt"
        super().__init__(f"job {job_id} failed, {failure.reason} at {attempts}: {failure.message}")
        self.job_id = job_id
        self.failure = failure
        self.reason = failure.reason


class JobCancelled(JobstreamError):
    """The job ended CANCELLED. `cancel_reason` is what was given to cancel; `forced` tells that its handler did not
    stop in time and was left behind."""

    def __init__(self, job_id: str, cancel_reason: str, forced: bool) -> None:
        super().__init__(f"job {job_id} was cancelled: {cancel_reason or 'no reason given'}")
        self.job_id = job_id
        self.cancel_reason = cancel_reason
        self.forced = forced


class NotFinished(JobstreamError, TimeoutError):
    """The time for waiting passed. The job goes on: wait again, or cancel it."""


class JobNotFound(JobstreamError):
    """No job has this id."""


class ServerRestarted(JobNotFound):
    """The job was accepted by a server that lost it in a restart (memory mode): submit it again."""


class ResultExpired(JobstreamError):
    """The job is known, its result is past its retention."""


class ResultMismatch(JobstreamError):
    """The job has a result that the wanted type does not fit; `returns=Payload` gives it as it is."""


class JobIdReused(JobstreamError):
    """The id belongs to a job with another spec."""


class InvalidRequest(JobstreamError, ValueError):
    """A field breaks a rule: `violations` lists every one. Payloads that are too large are among these."""


class IllegalState(JobstreamError):
    """The job's state forbids the call."""


class ResourceExhausted(JobstreamError):
    """A bound of the server is reached; nothing was kept."""

    @property
    def is_transient(self) -> bool:
        return self.retry_after is not None


class Unavailable(JobstreamError):
    """The server takes no calls now, or nobody answers."""

    @property
    def is_transient(self) -> bool:
        return True


class DeadlineExceeded(JobstreamError, TimeoutError):
    """No answer within the call timeout: it may or may not have arrived."""


OF_REASON: dict[str, type[JobstreamError]] = {
    "JOB_NOT_FOUND": JobNotFound,
    "RESULT_EXPIRED": ResultExpired,
    "JOB_ID_REUSED": JobIdReused,
    "PAYLOAD_TOO_LARGE": InvalidRequest,
    "ILLEGAL_STATE": IllegalState,
}
OF_CODE: dict[grpc.StatusCode, type[JobstreamError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}
BROKEN = {grpc.StatusCode[name] for name in ("UNKNOWN", "INTERNAL", "ABORTED", "DATA_LOSS", "UNAVAILABLE", "CANCELLED")}
"""What a call ends with when its connection breaks, or when something between us and the server speaks."""


def from_call(call: grpc.Call | grpc.aio.AioRpcError, address: str) -> JobstreamError:
    """The error that a call which raised this ended with."""
    trailers: Any = call.trailing_metadata() or ()
    return from_status(call.code(), call.details() or "", trailers, address)


def from_status(code: grpc.StatusCode, message: str, trailers: Metadata, address: str) -> JobstreamError:
    """The error that a call to the server at this address ended with."""
    facts = read_facts(code, trailers)
    if not facts.reason and code in BROKEN:
        return unavailable(address, message)
    if not facts.reason and code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return timed_out(address)
    error_type = OF_REASON.get(facts.reason) or OF_CODE.get(code, JobstreamError)
    named = ", ".join(part for part in (facts.reason, f"server {address}") if part)
    way_out = ": is it a jobstream server, as new as this client?" if code == grpc.StatusCode.UNIMPLEMENTED else ""
    return error_type(f"{message or 'no reason given'} ({named}){way_out}", facts)


def read_facts(code: grpc.StatusCode, trailers: Metadata) -> Facts:
    """What the details of a status say."""
    reason, retry_after = "", None
    violations: list[Violation] = []
    metadata: dict[str, str] = {}
    for detail in details_of(trailers):
        if detail.TypeName() == "google.rpc.ErrorInfo":
            info = error_details_pb2.ErrorInfo.FromString(detail.value)
            if info.domain == DOMAIN:
                reason, metadata = info.reason, dict(info.metadata)
        elif detail.TypeName() == "google.rpc.RetryInfo":
            delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            retry_after = delay.seconds + delay.nanos / 1e9
        elif detail.TypeName() == "google.rpc.BadRequest":
            listed = error_details_pb2.BadRequest.FromString(detail.value).field_violations
            violations += [Violation(violation.field, violation.description) for violation in listed]
    return Facts(code.name, reason, retry_after, violations, metadata)


def details_of(trailers: Metadata) -> Sequence[AnyMessage]:
    for key, value in trailers:
        if key == STATUS_DETAILS and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value).details
            except DecodeError:
                return ()
    return ()


def unavailable(address: str, why: str) -> Unavailable:
    """Nobody answers, or the connection broke."""
    message = f"no answer from the server at {address}: {why}: check the address and that the server runs"
    return Unavailable(message, Facts(code=grpc.StatusCode.UNAVAILABLE.name))


def timed_out(address: str) -> DeadlineExceeded:
    message = f"the server at {address} did not answer in time: allow it more with call_timeout, or try again later"
    return DeadlineExceeded(message, Facts(code=grpc.StatusCode.DEADLINE_EXCEEDED.name))


def given_up(error: JobstreamError, after: str) -> JobstreamError:
    """The same error, which also says how long it was borne."""
    facts = Facts(error.code, error.reason, error.retry_after, error.violations, error.metadata)
    return type(error)(f"{error.message}; gave up after {after}", facts)
