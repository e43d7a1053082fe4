"""Converts the result or exception of a handler into the final report of its attempt."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

from ..options import Span
from ..payload import BadPayload, Payload, encode
from ..times import to_duration
from ..v1 import job_pb2, worker_service_pb2

MESSAGE_BYTES_MAX = 4 << 10
TYPE_BYTES_MAX = 256
DETAILS_BYTES_MAX = 16 << 10

FinalReport = worker_service_pb2.AttemptReport
"""The report that ends an attempt: complete, fail, release or stopped."""


class Cancelled(BaseException):
    """Raised in a handler that must stop. Do not catch it; `except Exception` does not."""


class PermanentError(Exception):
    """Fails the job. It is not retried."""


class RetryLater(Exception):
    """Fails the attempt. The next attempt, if one is left, starts after this delay."""

    def __init__(self, after: Span, message: str = "") -> None:
        super().__init__(message)
        self.after = after


def encoded(value: object) -> Payload:
    """The result of a handler. Raises PermanentError if it cannot be encoded."""
    try:
        return encode(value)
    except TypeError as error:
        raise PermanentError(f"the result cannot be sent: {error}") from error


def from_result(result: Payload, payload_bytes_max: int) -> FinalReport:
    """The final report of a handler with this result."""
    size = len(result.bytes)
    if size > payload_bytes_max:
        message = f"result is {size} bytes, limit is {payload_bytes_max}: store it elsewhere and return a reference"
        return failure_report(job_pb2.FAILURE_REASON_RESULT_TOO_LARGE, message, retryable=False)
    return FinalReport(complete=worker_service_pb2.AttemptComplete(result=result.to_proto()))


def release(delay: float = 0.0) -> FinalReport:
    """The final report of a released attempt: a cancelled job ends, any other job is assigned again after `delay`
    seconds."""
    return FinalReport(release=worker_service_pb2.AttemptRelease(delay=to_duration(delay) if delay else None))


def from_exception(error: BaseException, stop_requested: bool) -> FinalReport:
    """The final report of a handler that raised this."""
    is_stop = isinstance(error, (Cancelled, asyncio.CancelledError))
    # An exception after a cancellation counts as caused by it.
    if stop_requested:
        return release()
    if is_stop:
        return failed(RuntimeError(f"the handler raised {type(error).__qualname__} without a cancellation"))
    return failed(error)


def failed(error: BaseException) -> FinalReport:
    """The failure report of an exception."""
    if isinstance(error, BadPayload):
        return failure_report(job_pb2.FAILURE_REASON_BAD_PAYLOAD, str(error), retryable=False, name=name_of(error))
    is_fatal = not isinstance(error, Exception)
    reason = job_pb2.FAILURE_REASON_PANIC if is_fatal else job_pb2.FAILURE_REASON_HANDLER
    end = failure_report(
        reason,
        str(error) or name_of(error),
        retryable=not isinstance(error, PermanentError),
        name=name_of(error),
        details=stack_of(error),
    )
    if isinstance(error, RetryLater):
        end.fail.retry_after.CopyFrom(to_duration(error.after))
    return end


def unknown_kind(kind: str) -> FinalReport:
    message = f"this worker has no handler for {kind!r}"
    return failure_report(job_pb2.FAILURE_REASON_UNKNOWN_KIND, message, retryable=True)


def failure_report(
    reason: job_pb2.FailureReason.ValueType,
    message: str,
    *,
    retryable: bool,
    name: str = "",
    details: Payload | None = None,
) -> FinalReport:
    failure = job_pb2.Failure(
        reason=reason,
        type=truncate(name, TYPE_BYTES_MAX),
        message=truncate(message, MESSAGE_BYTES_MAX),
        details=details.to_proto() if details else None,
        retryable=retryable,
    )
    return FinalReport(fail=worker_service_pb2.AttemptFail(failure=failure))


def name_of(error: BaseException) -> str:
    """The name of its type as a program imports it: `ValueError`, `jobstream.PermanentError`, `shop.errors.SoldOut`."""
    kind: type[Any] = type(error)
    module = "jobstream" if kind.__module__.startswith("jobstream.") else kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def stack_of(error: BaseException) -> Payload | None:
    """The stack trace of an exception. A long one is truncated to its end, which is nearest to the cause."""
    if error.__traceback__ is None:
        return None
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return Payload.from_text(stack.encode(errors="replace")[-DETAILS_BYTES_MAX:].decode(errors="ignore"))


def truncate(text: str, size: int) -> str:
    return text.encode(errors="replace")[:size].decode(errors="ignore")
