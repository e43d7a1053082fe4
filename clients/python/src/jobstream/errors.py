"""The errors of this package. See `jobstream.status` for their conversion from a gRPC status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from .outcome import Failure


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
    the server, such as `JOB_NOT_FOUND`, or of this client for a failed TLS handshake or token function; else it is
    empty. `retry_after` is the delay in seconds that the server requests before a retry, or None.
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


class Unauthenticated(JobstreamError):
    """The credentials are missing or refused.

    `reason` is CREDENTIAL_REQUIRED, CREDENTIAL_INVALID or CREDENTIAL_EXPIRED; CLIENT_CERTIFICATE if the server refused
    the TLS connection without a client certificate it trusts; empty for HTTP status 401 of a proxy.
    """


class PermissionDenied(JobstreamError):
    """The caller may not do this. The message names the missing grant; `reason` is GRANT_MISSING, or empty for HTTP
    status 403 of a proxy."""


class ResourceExhausted(JobstreamError):
    """A limit of the server, or a quota of the caller (`reason` QUOTA), is reached. The server stored nothing."""

    @property
    def is_transient(self) -> bool:
        return self.retry_after is not None


CERTIFICATE_REASONS = {"UNKNOWN_CA", "INVALID_CERTIFICATE", "NOT_TLS", "TLS_REQUIRED"}
"""Reasons of a failed TLS handshake, or of a missing one, that a retry cannot change."""


class Unavailable(JobstreamError):
    """The server is unavailable or unreachable.

    After a failed TLS handshake `reason` is UNKNOWN_CA, INVALID_CERTIFICATE, NOT_TLS or TLS_FAILED, and TLS_REQUIRED if
    the address is plain text but the server serves TLS only. After an exception of the token function it is
    TOKEN_UNAVAILABLE.
    """

    @property
    def is_transient(self) -> bool:
        return self.reason not in CERTIFICATE_REASONS


class DeadlineExceeded(JobstreamError, TimeoutError):
    """No response within the call timeout. The server may or may not have processed the call."""


def unavailable(address: str, why: str) -> Unavailable:
    """The error of an unreachable server or a broken connection."""
    message = f"no response from the server at {address}: {why}: check the address and that the server runs"
    return Unavailable(message, ErrorDetails(code=grpc.StatusCode.UNAVAILABLE.name))


def timed_out(address: str) -> DeadlineExceeded:
    message = f"the server at {address} did not respond in time: increase call_timeout or try again later"
    return DeadlineExceeded(message, ErrorDetails(code=grpc.StatusCode.DEADLINE_EXCEEDED.name))


def not_finished(job_id: str, wait: float) -> NotFinished:
    """The error of a wait of this many seconds."""
    return NotFinished(f"job {job_id} has not finished within {wait:g} s: it continues")


def retries_exhausted(error: JobstreamError, limit: str) -> JobstreamError:
    """The same error with the retry limit that was reached in its message."""
    details = ErrorDetails(error.code, error.reason, error.retry_after, error.violations, error.metadata)
    return type(error)(f"{error.message}; gave up after {limit}", details)
