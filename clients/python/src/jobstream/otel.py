"""Spans of OpenTelemetry. `jobstream.tracing` imports this module only where opentelemetry-api is installed.

The first attempt of a job continues the trace of its submit. Each later one begins a new trace, because a trace that
lasts for hours is of little use. Both have a link to the submit.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress

from opentelemetry import context as current
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_current_span,
    get_tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .errors import JobstreamError
from .interceptors import JobSpec
from .tracing import Headers, ProcessSpan, TraceContext, Tracing
from .v1 import job_pb2
from .version import __version__
from .worker.context import BaseContext
from .worker.final_report import name_of
from .worker.settled import unknown

TRACE = TraceContextTextMapPropagator()
BAGGAGE = W3CBaggagePropagator()


class OpenTelemetry(Tracing):
    """Makes spans with a provider, by default the global one."""

    is_active = True

    def __init__(self, provider: TracerProvider | None) -> None:
        self.tracer = get_tracer("jobstream", __version__, provider)

    @contextmanager
    def submit(self, spec: JobSpec) -> Generator[None]:
        given, base = spec.trace_context, current.get_current()
        parent = base if given is None else extracted(given, base)
        attributes = attributes_of("submit", "send", spec.queue, spec.job_id, spec.kind)
        span = self.started(f"submit {spec.queue}", parent, SpanKind.PRODUCER, attributes)
        with entered(span, parent):
            spec.trace_context = injected() or given
            try:
                yield
            except Exception as error:
                RecordedSpan(span).failed(name_of(error), str(error), error)
                raise

    @contextmanager
    def process(self, context: BaseContext) -> Generator[ProcessSpan]:
        given = context.trace_context or TraceContext()
        submitter = extracted(given, Context())
        link = get_current_span(submitter).get_span_context()
        parent = submitter if context.attempt == 1 else BAGGAGE.extract(carrier_of(given), Context())
        attributes: dict[str, str | int] = {
            **attributes_of("process", "process", context.queue, context.job_id, context.kind),
            "jobstream.job.attempt": context.attempt,
        }
        links = [Link(link)] if link.is_valid else []
        span = self.started(f"process {context.queue}", parent, SpanKind.CONSUMER, attributes, links)
        is_recorded = span.is_recording()
        with entered(span, parent):
            yield RecordedSpan(span)
        if is_recorded:
            self.settle(context, set_span_in_context(span, parent), attributes)

    def settle(self, context: BaseContext, parent: Context, facts: Mapping[str, str | int]) -> None:
        """The span `settle QUEUE` of an attempt is from now until the server has recorded its end."""
        facts = {**facts, "messaging.operation.name": "settle", "messaging.operation.type": "settle"}
        span = self.started(f"settle {context.queue}", parent, SpanKind.CLIENT, facts)

        def settled(error: JobstreamError | None) -> None:
            with suppress(Exception):  # A broken processor must not fail the job.
                if error is not None:
                    RecordedSpan(span).failed(error.reason or name_of(error), error.message, None)
                span.end()

        try:
            context.on_settled(settled)
        except RuntimeError:  # The worker released the attempt before.
            settled(unknown())

    def started(
        self, name: str, parent: Context, kind: SpanKind, facts: Mapping[str, str | int], links: Sequence[Link] = ()
    ) -> Span:
        try:
            return self.tracer.start_span(name, parent, kind, facts, links)
        except Exception:  # noqa: BLE001  A broken processor must not fail the job.
            return INVALID_SPAN

    def headers(self) -> Headers | None:
        found = injected()
        if found is None:
            return None
        return tuple(carrier_of(found.to_proto()).items())


@contextmanager
def entered(span: Span, base: Context) -> Generator[None]:
    """The span is current inside, with the rest of the context. It ends at the end of the block."""
    token = current.attach(set_span_in_context(span, base))
    try:
        yield
    finally:
        current.detach(token)
        with suppress(Exception):  # A broken processor must not fail the job.
            span.end()


class RecordedSpan(ProcessSpan):
    """The span of an attempt."""

    def __init__(self, span: Span) -> None:
        self.span = span

    def failed(self, error_type: str, message: str, error: BaseException | None) -> None:
        self.span.set_attribute("error.type", error_type)
        self.span.set_status(Status(StatusCode.ERROR, message))
        if error is not None:
            self.span.record_exception(error)


def attributes_of(name: str, operation: str, queue: str, job_id: str, kind: str) -> dict[str, str]:
    """The attributes of the semantic conventions for messaging, and those of jobs."""
    return {
        "messaging.system": "jobstream",
        "messaging.destination.name": queue,
        "messaging.operation.name": name,
        "messaging.operation.type": operation,
        "messaging.message.id": job_id,
        "jobstream.job.kind": kind,
    }


def carrier_of(context: TraceContext | job_pb2.TraceContext) -> dict[str, str]:
    """The headers of a trace context, without the empty ones."""
    named = (("traceparent", context.traceparent), ("tracestate", context.tracestate), ("baggage", context.baggage))
    return {name: value for name, value in named if value}


def extracted(context: TraceContext, base: Context) -> Context:
    """The context with the span and the baggage of a trace context."""
    carrier = carrier_of(context)
    return BAGGAGE.extract(carrier, TRACE.extract(carrier, base))


def injected() -> TraceContext | None:
    """The trace context of the current span and baggage; None without both."""
    carrier: dict[str, str] = {}
    TRACE.inject(carrier)
    BAGGAGE.inject(carrier)
    return TraceContext(**carrier) if carrier else None
