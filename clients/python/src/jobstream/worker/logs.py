"""The log lines of a worker. They have no payloads."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..v1 import job_pb2

if TYPE_CHECKING:
    from .context import BaseContext

log = logging.getLogger("jobstream.worker")

FAILURES_PER_SECOND = 10
"""Most failed attempts that are logged in a second, so that a stream of failures does not fill the log."""


def log_safely(level: int, message: str, *details: object) -> None:
    """Logs. An exception of a logging handler must not end the worker."""
    with contextlib.suppress(Exception):
        log.log(level, message, *details)


class FailureLog:
    """Logs each failed attempt, at most FAILURES_PER_SECOND of them, and then the number of the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.began = float("-inf")
        """Start of the current second."""
        self.logged = 0
        self.omitted = 0

    def add(self, context: BaseContext, failure: job_pb2.Failure, error: BaseException | None) -> None:
        """Logs a failed attempt in one line, with the stack trace of the exception."""
        self.flush()
        with self.lock:
            if self.logged == FAILURES_PER_SECOND:
                self.omitted += 1
                return
            self.logged += 1
        log_failure(context, failure, error)

    def flush(self, *, now: bool = False) -> None:
        """Logs the number of attempts that were left out, once their second is over, or now."""
        with self.lock:
            if not now and self.clock() - self.began < 1:
                return
            self.began, self.logged = self.clock(), 0
            omitted, self.omitted = self.omitted, 0
        if omitted:
            log_safely(logging.WARNING, "attempt failed: %d more, left out of the log", omitted)


def log_failure(context: BaseContext, failure: job_pb2.Failure, error: BaseException | None) -> None:
    name, message = describe(failure)
    fields: dict[str, object] = {
        "job_id": context.job_id,
        "kind": context.kind,
        "queue": context.queue,
        "attempt": context.attempt,
        "error_type": name,
        "error": message,
    }
    with contextlib.suppress(Exception):
        log.warning(
            "attempt failed: job %s, kind %s, queue %s, attempt %d: %s: %s",
            *fields.values(),
            exc_info=shown(failure, error),
            extra=fields,
        )


def shown(failure: job_pb2.Failure, error: BaseException | None) -> BaseException | None:
    """The exception of a failure, unless it is that of a validator, which may quote the payload."""
    return None if failure.reason == job_pb2.FAILURE_REASON_BAD_PAYLOAD else error


def describe(failure: job_pb2.Failure) -> tuple[str, str]:
    """The error type, or the failure reason if there is none, and the message in one line."""
    reason = job_pb2.FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")
    if failure.reason == job_pb2.FAILURE_REASON_BAD_PAYLOAD:
        return reason, "the input does not fit the type of the handler"
    return failure.type or reason, " ".join(failure.message.split())
