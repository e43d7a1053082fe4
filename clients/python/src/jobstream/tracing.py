"""The trace context of jobs, and spans where OpenTelemetry is installed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .options import ClientOptions
from .v1 import job_pb2

if TYPE_CHECKING:
    from .interceptors import JobSpec
    from .worker.context import BaseContext

TRACESTATE_BYTES_MAX = 512
BAGGAGE_BYTES_MAX = 4 << 10

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TraceContext:
    """W3C Trace Context and Baggage of the submitter of a job."""

    traceparent: str = ""
    """The trace, the span and the flags: 55 characters, such as
    `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`."""
    tracestate: str = ""
    """The state of tracing systems. It is left out if it is longer than 512 bytes."""
    baggage: str = ""
    """Names and values that every service on the way may read. They are left out if longer than 4 KiB."""

    def to_proto(self) -> job_pb2.TraceContext:
        """The message, with the parts that are not over their limits."""
        return job_pb2.TraceContext(
            traceparent=self.traceparent,
            tracestate=within(self.tracestate, TRACESTATE_BYTES_MAX),
            baggage=within(self.baggage, BAGGAGE_BYTES_MAX),
        )

    @classmethod
    def from_proto(cls, context: job_pb2.TraceContext) -> TraceContext | None:
        """The trace context; None if it is empty."""
        if not (context.traceparent or context.baggage):
            return None
        return cls(context.traceparent, context.tracestate, context.baggage)


def within(text: str, bytes_max: int) -> str:
    return text if text.isascii() and text.isprintable() and len(text) <= bytes_max else ""


class ProcessSpan:
    """The span of an attempt. Without OpenTelemetry there is none."""

    def failed(self, error_type: str, message: str, error: BaseException | None) -> None:
        """Records the failure of the attempt."""


class Tracing:
    """Makes the spans of a client and of a worker. Without OpenTelemetry it makes none."""

    is_active = False

    @contextmanager
    def submit(self, spec: JobSpec) -> Generator[None]:
        """The span `submit QUEUE` is current inside. The job gets its context."""
        del spec
        yield

    @contextmanager
    def process(self, context: BaseContext) -> Generator[ProcessSpan]:
        """The span `process QUEUE` of an attempt is current inside. Its child `settle QUEUE` is from then until the
        server has recorded the end of the attempt."""
        del context
        yield ProcessSpan()

    def headers(self) -> Headers | None:
        """The headers of a retry, whose job has the current span as its submitter."""
        return None


def tracing_of(options: ClientOptions) -> Tracing:
    """Makes spans if the package opentelemetry-api is installed."""
    try:
        from .otel import OpenTelemetry
    except ImportError:
        return Tracing()
    return OpenTelemetry(options.tracer_provider)
