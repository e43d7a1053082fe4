"""How attempts end: what a handler returns or raises, as the report that says so."""

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

End = worker_service_pb2.AttemptReport
"""A report with one of its last four news, which end the attempt."""


class Cancelled(BaseException):
    """Raised in a handler that was told to stop. Let it pass: `except Exception` does not catch it."""


class PermanentError(Exception):
    """Fails the job for good: another attempt could not help."""


class RetryLater(Exception):
    """Fails the attempt; the next one, if the job has one left, comes after this pause."""

    def __init__(self, after: Span, message: str = "") -> None:
        super().__init__(message)
        self.after = after


def completed(value: object, payload_bytes_max: int) -> End:
    """The end of a handler that answered this."""
    try:
        result = encode(value)
    except TypeError as error:
        return failed(PermanentError(f"the result cannot be sent: {error}"))
    size = len(result.bytes)
    if size > payload_bytes_max:
        message = f"result is {size} bytes, the limit is {payload_bytes_max}: store it elsewhere and return a reference"
        return failure_end(job_pb2.FAILURE_REASON_RESULT_TOO_LARGE, message, retryable=False)
    return End(complete=worker_service_pb2.AttemptComplete(result=result.to_proto()))


def released(delay: float = 0.0) -> End:
    """Gives the job back: a cancelled one ends by it, any other runs elsewhere, after this many seconds."""
    return End(release=worker_service_pb2.AttemptRelease(delay=to_duration(delay) if delay else None))


def raised(error: BaseException, was_told_to_stop: bool) -> End:
    """The end of a handler that raised this."""
    is_stop = isinstance(error, (Cancelled, asyncio.CancelledError))
    # What is raised after that is raised because of it.
    if was_told_to_stop:
        return released()
    if is_stop:
        return failed(RuntimeError(f"the handler raised {type(error).__qualname__} though nobody cancelled it"))
    return failed(error)


def failed(error: BaseException) -> End:
    """The failure that an error is."""
    if isinstance(error, BadPayload):
        return failure_end(job_pb2.FAILURE_REASON_BAD_PAYLOAD, str(error), retryable=False, name=name_of(error))
    is_worst = not isinstance(error, Exception)
    reason = job_pb2.FAILURE_REASON_PANIC if is_worst else job_pb2.FAILURE_REASON_HANDLER
    end = failure_end(
        reason,
        str(error) or name_of(error),
        retryable=not isinstance(error, PermanentError),
        name=name_of(error),
        details=stack_of(error),
    )
    if isinstance(error, RetryLater):
        end.fail.retry_after.CopyFrom(to_duration(error.after))
    return end


def unknown_kind(kind: str) -> End:
    message = f"this worker has no handler for {kind!r}"
    return failure_end(job_pb2.FAILURE_REASON_UNKNOWN_KIND, message, retryable=True)


def failure_end(
    reason: job_pb2.FailureReason.ValueType,
    message: str,
    *,
    retryable: bool,
    name: str = "",
    details: Payload | None = None,
) -> End:
    failure = job_pb2.Failure(
        reason=reason,
        type=cut(name, TYPE_BYTES_MAX),
        message=cut(message, MESSAGE_BYTES_MAX),
        details=details.to_proto() if details else None,
        retryable=retryable,
    )
    return End(fail=worker_service_pb2.AttemptFail(failure=failure))


def name_of(error: BaseException) -> str:
    kind: type[Any] = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def stack_of(error: BaseException) -> Payload | None:
    """The stack of an error that was raised; its end, which is nearest to the cause, if it is long."""
    if error.__traceback__ is None:
        return None
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return Payload.text(stack.encode(errors="replace")[-DETAILS_BYTES_MAX:].decode(errors="ignore"))


def cut(text: str, size: int) -> str:
    return text.encode(errors="replace")[:size].decode(errors="ignore")
