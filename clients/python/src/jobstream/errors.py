"""The errors of this package, and their conversion from a gRPC status."""

from __future__ import annotations

import re
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
"""The ErrorInfo domain of this API. Other domains come from proxies between client and server."""
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
class ErrorDetails:
    """The fields of an error besides its message."""

    code: str = ""
    reason: str = ""
    retry_after: float | None = None
    violations: Sequence[Violation] = ()
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class JobstreamError(Exception):
    """The base class of all errors of this package.

    `code` is the gRPC status code, such as `NOT_FOUND`; it is empty if no call failed. `reason` is the stable reason of
    the server, such as `JOB_NOT_FOUND`; it is empty if the error does not come from the server. `retry_after` is the
    delay in seconds that the server requests before a retry, or None.
    """

    def __init__(self, message: str, details: ErrorDetails | None = None) -> None:
        super().__init__(message)
        details = details or ErrorDetails()
        self.message = message
        self.code = details.code
        self.reason = details.reason
        self.retry_after = details.retry_after
        self.violations = list(details.violations)
        self.metadata = dict(details.metadata)

    @property
    def is_transient(self) -> bool:
        """Whether a retry may succeed."""
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
    """The job ended CANCELLED.

    `cancel_reason` is the reason passed to `cancel`. `forced` is true if the handler did not stop within the grace time
    and its lease was revoked.
    """

    def __init__(self, job_id: str, cancel_reason: str, forced: bool) -> None:
        super().__init__(f"job {job_id} was cancelled: {cancel_reason or 'no reason given'}")
        self.job_id = job_id
        self.cancel_reason = cancel_reason
        self.forced = forced


class NotFinished(JobstreamError, TimeoutError):
    """The wait timed out. The job continues: wait again, or cancel it."""


class JobNotFound(JobstreamError):
    """No job has this id."""


class ServerRestarted(JobNotFound):
    """A restart of the server lost the job (memory mode): submit it again."""


class ResultExpired(JobstreamError):
    """The job ended and its result is no longer retained."""


class ResultMismatch(JobstreamError):
    """The job succeeded, but its result cannot be decoded as the requested type. `returns=Payload` returns it
    undecoded."""


class JobIdReused(JobstreamError):
    """The id belongs to a job with another spec."""


class InvalidRequest(JobstreamError, ValueError):
    """The request is invalid. `violations` lists every invalid field. A payload over the limit also raises this.

    `code` is empty if the client rejected a value without a call, such as a job id that is not a UUID.
    """


class IllegalState(JobstreamError):
    """The job's state forbids the call."""


class ResourceExhausted(JobstreamError):
    """A limit of the server is reached. The server stored nothing."""

    @property
    def is_transient(self) -> bool:
        return self.retry_after is not None


class Unavailable(JobstreamError):
    """The server is unavailable or unreachable."""

    @property
    def is_transient(self) -> bool:
        return True


class DeadlineExceeded(JobstreamError, TimeoutError):
    """No response within the call timeout. The server may or may not have processed the call."""


ERROR_BY_REASON: dict[str, type[JobstreamError]] = {
    "JOB_NOT_FOUND": JobNotFound,
    "RESULT_EXPIRED": ResultExpired,
    "JOB_ID_REUSED": JobIdReused,
    "PAYLOAD_TOO_LARGE": InvalidRequest,
    "ILLEGAL_STATE": IllegalState,
}
ERROR_BY_CODE: dict[grpc.StatusCode, type[JobstreamError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}
CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
HTTP_STATUS = re.compile(r"^Received http2 header with status: (\d{3})$")
"""The message of gRPC for an HTTP response without a gRPC status. It comes from a proxy between client and server."""
CODE_BY_HTTP_STATUS: dict[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INTERNAL,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    429: grpc.StatusCode.UNAVAILABLE,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.UNAVAILABLE,
}
"""The mapping of the gRPC specification. Any other status is UNKNOWN."""
TRANSPORT_CODES = {
    grpc.StatusCode[name] for name in ("UNKNOWN", "INTERNAL", "ABORTED", "DATA_LOSS", "UNAVAILABLE", "CANCELLED")
}
"""Status codes of a broken connection, or of a proxy between client and server."""


def from_call(call: grpc.Call | grpc.aio.AioRpcError, address: str) -> JobstreamError:
    """Converts the error of a failed call."""
    trailers: Any = call.trailing_metadata() or ()
    return from_status(call.code(), call.details() or "", trailers, address)


def from_status(code: grpc.StatusCode, message: str, trailers: Metadata, address: str) -> JobstreamError:
    """Converts a status returned by the server at this address."""
    return convert(code, message, details_of(trailers), address)


def from_rpc_status(status: status_pb2.Status, address: str) -> JobstreamError:
    """Converts the error of one job of a batch."""
    return convert(CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, status.details, address)


def convert(code: grpc.StatusCode, message: str, packed_details: Iterable[AnyMessage], address: str) -> JobstreamError:
    details = read_details(code, packed_details)
    if not details.reason and (found := HTTP_STATUS.search(message)):
        return http_error(int(found[1]), address)
    if not details.reason and code in TRANSPORT_CODES:
        return unavailable(address, message)
    if not details.reason and code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return timed_out(address)
    error_type = ERROR_BY_REASON.get(details.reason) or ERROR_BY_CODE.get(code, JobstreamError)
    context = ", ".join(part for part in (details.reason, f"server {address}") if part)
    hint = (
        ": check that it is a jobstream server and not older than this client"
        if code == grpc.StatusCode.UNIMPLEMENTED
        else ""
    )
    return error_type(f"{message or 'no reason given'} ({context}){hint}", details)


def read_details(code: grpc.StatusCode, packed_details: Iterable[AnyMessage]) -> ErrorDetails:
    """Decodes the details of a status."""
    reason, retry_after = "", None
    violations: list[Violation] = []
    metadata: dict[str, str] = {}
    for detail in packed_details:
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
    return ErrorDetails(code.name, reason, retry_after, violations, metadata)


def details_of(trailers: Metadata) -> Sequence[AnyMessage]:
    for key, value in trailers:
        if key == STATUS_DETAILS and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value).details
            except DecodeError:
                return ()
    return ()


def http_error(status: int, address: str) -> JobstreamError:
    """The error of an HTTP response without a gRPC status."""
    code = CODE_BY_HTTP_STATUS.get(status, grpc.StatusCode.UNKNOWN)
    error_type = Unavailable if code == grpc.StatusCode.UNAVAILABLE else JobstreamError
    message = f"{address} responded with HTTP status {status}, not with gRPC: check the address and its proxy"
    return error_type(message, ErrorDetails(code=code.name))


def unavailable(address: str, why: str) -> Unavailable:
    """The error of an unreachable server or a broken connection."""
    message = f"no response from the server at {address}: {why}: check the address and that the server runs"
    return Unavailable(message, ErrorDetails(code=grpc.StatusCode.UNAVAILABLE.name))


def timed_out(address: str) -> DeadlineExceeded:
    message = f"the server at {address} did not respond in time: increase call_timeout or try again later"
    return DeadlineExceeded(message, ErrorDetails(code=grpc.StatusCode.DEADLINE_EXCEEDED.name))


def retries_exhausted(error: JobstreamError, limit: str) -> JobstreamError:
    """The same error with the retry limit that was reached in its message."""
    details = ErrorDetails(error.code, error.reason, error.retry_after, error.violations, error.metadata)
    return type(error)(f"{error.message}; gave up after {limit}", details)
