"""What the callbacks of `on_settled` are called with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Union

import grpc

from ..errors import ErrorDetails, JobstreamError, Unavailable

OnSettled = Callable[[Union[JobstreamError, None]], None]
"""Called with None once the server has recorded the end of an attempt, or with the reason why that is not so."""


def lease_lost() -> JobstreamError:
    """The error of an attempt whose end the server does not use."""
    details = ErrorDetails(grpc.StatusCode.FAILED_PRECONDITION.name, "LEASE_LOST")
    return JobstreamError("the lease was lost: the server does not use the end of this attempt", details)


def unknown() -> Unavailable:
    """The error of an attempt whose end was not acknowledged."""
    message = "the server did not acknowledge the end of this attempt: it may be recorded or not"
    return Unavailable(message, ErrorDetails(grpc.StatusCode.UNAVAILABLE.name))


def settle(callbacks: Iterable[OnSettled], error: JobstreamError | None) -> None:
    """Calls the callbacks in order. The caller holds no lock."""
    for callback in callbacks:
        callback(error)
