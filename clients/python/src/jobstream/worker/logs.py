"""The log lines of a worker. They have no payloads."""

from __future__ import annotations

import contextlib
import logging

from ..v1 import job_pb2
from .context import BaseContext

log = logging.getLogger("jobstream.worker")


def log_safely(level: int, message: str, *details: object) -> None:
    """Logs. An exception of a logging handler must not end the worker."""
    with contextlib.suppress(Exception):
        log.log(level, message, *details)


def log_failure(context: BaseContext, failure: job_pb2.Failure) -> None:
    """Logs a failed attempt in one line."""
    log_safely(
        logging.WARNING,
        "attempt %d of job %s, kind %s, failed: %s",
        context.attempt,
        context.job_id,
        context.kind,
        describe(failure),
    )


def describe(failure: job_pb2.Failure) -> str:
    if failure.reason == job_pb2.FAILURE_REASON_BAD_PAYLOAD:
        # The message of a validator may quote the payload.
        return "BAD_PAYLOAD: the input does not fit the type of the handler"
    message = " ".join(failure.message.split())
    return f"{failure.type}: {message}" if failure.type and failure.type != message else message
