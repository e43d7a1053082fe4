"""Tests the trace context of jobs, and that a receiver of OTLP gets the spans of a job from submit to attempts."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Generator

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from otlp import ReceivedSpan, Receiver, exporting, receiving

from jobstream import (
    AsyncClient,
    AsyncContext,
    AsyncWorker,
    BaseContext,
    Client,
    ClientOptions,
    Context,
    InvalidRequest,
    Job,
    JobFailed,
    JobRequest,
    JobSpec,
    Payload,
    RetryPolicy,
    Submitted,
    TraceContext,
    Worker,
)

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def receiver() -> Generator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def provider(receiver: Receiver) -> Generator[TracerProvider]:
    with exporting(receiver) as provider:
        yield provider


def fails_once(name: str) -> str:
    """Fails in the first attempt; returns the span that is current and the baggage."""
    if name == "1":
        raise LookupError("not yet")
    return f"{trace.get_current_span().get_span_context().span_id:016x} {baggage.get_baggage('tenant')}"


def position(context: TraceContext | None) -> tuple[str, str]:
    """The ids of the trace and the span."""
    assert context is not None
    _, trace_id, span_id, _ = context.traceparent.split("-")
    return trace_id, span_id


def check_spans(spans: list[ReceivedSpan], request: ReceivedSpan, job_id: str, kind: str) -> ReceivedSpan:
    """Checks the spans of a job with two attempts. Returns that of the second."""
    submit, first, first_settle, second, second_settle = spans
    facts = {
        "messaging.system": "jobstream",
        "messaging.destination.name": "traced",
        "messaging.message.id": job_id,
        "jobstream.job.kind": kind,
    }
    assert (submit.name, submit.kind, submit.is_error) == ("submit traced", "PRODUCER", False)
    assert (submit.trace_id, submit.parent_id) == (request.trace_id, request.span_id)
    assert submit.attributes == facts | {"messaging.operation.name": "submit", "messaging.operation.type": "send"}
    facts |= {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    assert (first.name, first.kind, first.is_error) == ("process traced", "CONSUMER", True)
    assert (first.trace_id, first.parent_id) == (submit.trace_id, submit.span_id)
    assert first.attributes == facts | {"jobstream.job.attempt": 1, "error.type": "LookupError"}
    assert (first.error, first.exceptions) == ("not yet", ["LookupError"])
    assert (second.name, second.kind, second.is_error) == ("process traced", "CONSUMER", False)
    assert (second.trace_id != submit.trace_id, second.parent_id) == (True, "")
    assert second.attributes == facts | {"jobstream.job.attempt": 2}
    assert first.links == second.links == [(submit.trace_id, submit.span_id)]
    facts |= {"messaging.operation.name": "settle", "messaging.operation.type": "settle"}
    for attempt, (settle, process) in enumerate(((first_settle, first), (second_settle, second)), 1):
        assert (settle.name, settle.kind, settle.is_error) == ("settle traced", "CLIENT", False)
        assert (settle.trace_id, settle.parent_id) == (process.trace_id, process.span_id)
        assert settle.attributes == facts | {"jobstream.job.attempt": attempt}
    return second


def test_spans_of_a_job_with_two_attempts_arrive(address: str, receiver: Receiver, provider: TracerProvider) -> None:
    logged_in: list[int] = []

    class InSpan(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelname == "WARNING":
                logged_in.append(trace.get_current_span().get_span_context().span_id)

    logger, handler = logging.getLogger("jobstream.worker"), InSpan()
    logger.addHandler(handler)
    with Client(address, ClientOptions(tracer_provider=provider)) as client:
        worker = Worker(client, "tests", queues=["traced"])
        worker.handler("traced")(lambda context: fails_once(str(context.attempt)))
        with worker:
            token = context.attach(baggage.set_baggage("tenant", "acme"))
            with provider.get_tracer("tests").start_as_current_span("request sync"):
                job = client.submit("traced", queue="traced", retry=RetryPolicy(2, 0.01))
            context.detach(token)
            result = job.result(10)
    logger.removeHandler(handler)
    spans = receiver.of_job(job.id, 5)
    second = check_spans(spans, receiver.named("request sync")[0], job.id, "traced")
    assert result == f"{second.span_id} acme"
    assert [f"{span:016x}" for span in logged_in] == [spans[1].span_id]


@pytest.mark.parametrize("kind", ["coroutine", "function"])
@pytest.mark.parametrize("is_intercepted", [False, True])
async def test_spans_of_asyncio_handlers_arrive(
    address: str, receiver: Receiver, provider: TracerProvider, kind: str, is_intercepted: bool
) -> None:
    async def pass_on(context: BaseContext, next: Callable[[BaseContext], Awaitable[Payload]]) -> Payload:
        return await next(context)

    kind = f"{kind}-{is_intercepted}"
    async with AsyncClient(address, ClientOptions(tracer_provider=provider)) as client:
        worker = AsyncWorker(client, "tests", queues=["traced"], interceptors=[pass_on] if is_intercepted else [])

        async def coroutine(context: AsyncContext) -> str:
            return fails_once(str(context.attempt))

        def function(context: Context) -> str:
            return fails_once(str(context.attempt))

        worker.handler(kind)(coroutine if kind.startswith("coroutine") else function)
        async with worker:
            token = context.attach(baggage.set_baggage("tenant", "acme"))
            with provider.get_tracer("tests").start_as_current_span(f"request {kind}"):
                job = await client.submit(kind, queue="traced", retry=RetryPolicy(2, 0.01))
            context.detach(token)
            result = await job.result(10)
    second = check_spans(receiver.of_job(job.id, 5), receiver.named(f"request {kind}")[0], job.id, kind)
    assert result == f"{second.span_id} acme"


def test_run_and_batches_have_a_span_for_each_job(address: str, receiver: Receiver, provider: TracerProvider) -> None:
    seen: list[TraceContext | None] = []

    def look(spec: JobSpec, next: Callable[[JobSpec], Submitted]) -> Submitted:
        seen.append(spec.trace_context)
        return next(spec)

    options = ClientOptions(tracer_provider=provider)
    with Client(address, options, interceptors=[look]) as client:
        worker = Worker(client, "tests", queues=["traced-ways"])
        worker.handler("ways")(lambda context: position(context.trace_context))
        requests = [JobRequest("ways", queue="traced-ways") for _ in range(2)]
        with worker:
            parents = [client.run("ways", queue="traced-ways", wait=10)]
            parents += [job.result(10) for job in client.submit_all(requests) if isinstance(job, Job)]
    submits = receiver.named("submit traced-ways", 3)
    expected = [(span.trace_id, span.span_id) for span in submits]
    assert [tuple(parent) for parent in parents] == expected == [position(context) for context in seen]
    assert [span.attributes["messaging.message.id"] for span in submits][1:] == [each.job_id for each in requests]
    assert requests[0]._spec.trace_context.traceparent == ""


def test_refused_submit_has_an_error(address: str, receiver: Receiver, provider: TracerProvider) -> None:
    with Client(address, ClientOptions(tracer_provider=provider)) as client, pytest.raises(InvalidRequest):
        client.submit("refused", queue="no spaces here")
    span = receiver.named("submit no spaces here")[0]
    assert (span.is_error, span.attributes["error.type"]) == (True, "jobstream.InvalidRequest")


def test_span_of_a_bad_payload_does_not_quote_it(address: str, receiver: Receiver, provider: TracerProvider) -> None:
    with Client(address, ClientOptions(tracer_provider=provider)) as client:
        worker = Worker(client, "tests", queues=["traced-bad"])
        worker.handler("traced-bad", input_type=int)(lambda _, number: number)
        with worker, pytest.raises(JobFailed):
            client.run("traced-bad", "secret", queue="traced-bad", wait=10)
    span = receiver.named("process traced-bad")[0]
    assert (span.is_error, span.attributes["error.type"], span.exceptions) == (True, "BAD_PAYLOAD", [])
    assert "secret" not in str(span)


def test_retry_continues_the_trace_of_its_caller(address: str, receiver: Receiver, provider: TracerProvider) -> None:
    with Client(address, ClientOptions(tracer_provider=provider)) as client:
        worker = Worker(client, "tests", queues=["traced-retry"])
        worker.handler("retried")(lambda context: position(context.trace_context))
        with worker:
            job = client.submit("retried", queue="traced-retry")
            job.result(10)
            with provider.get_tracer("tests").start_as_current_span("request retry"):
                parent = client.retry(job.id).result(10)
    request = receiver.named("request retry")[0]
    assert parent == [request.trace_id, request.span_id]


def test_given_trace_context_reaches_the_handler_without_opentelemetry(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jobstream.otel", None)
    given = TraceContext(PARENT, "vendor=1", "tenant=acme")
    with Client(address) as client:
        worker = Worker(client, "tests", queues=["given"])
        seen: list[TraceContext | None] = []
        worker.handler("given")(lambda context: seen.append(context.trace_context))
        with worker:
            client.run("given", queue="given", trace_context=given, wait=10)
            client.run("given", queue="given", wait=10)
            client.run("given", queue="given", trace_context=TraceContext(PARENT, "a=" + "b" * 511, "c=" + "d" * 4095))
    assert seen == [given, None, TraceContext(PARENT)]


def test_given_trace_context_is_the_parent_of_the_submit(
    address: str, receiver: Receiver, provider: TracerProvider
) -> None:
    with Client(address, ClientOptions(tracer_provider=provider)) as client:
        job = client.submit(
            "given", queue="given-traced", trace_context=TraceContext(PARENT, "vendor=1", "tenant=acme")
        )
        stored = client.get(job.id).trace_context
    span = receiver.named("submit given-traced")[0]
    assert (span.trace_id, span.parent_id) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert position(stored) == (span.trace_id, span.span_id)
    assert stored is not None
    assert (stored.tracestate, stored.baggage) == ("vendor=1", "tenant=acme")


def test_without_a_provider_the_trace_context_is_passed_on(address: str) -> None:
    given = TraceContext(PARENT, "vendor=1", "tenant=acme")
    with Client(address) as client:
        job = client.submit("given", queue="passed-on", trace_context=given)
        assert client.get(job.id).trace_context == given
        plain = client.submit("given", queue="passed-on")
        assert client.get(plain.id).trace_context is None


def test_broken_processor_does_not_fail_jobs(address: str) -> None:
    class Broken(SpanProcessor):
        def __init__(self) -> None:
            self.calls: list[str] = []

        def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
            del parent_context
            self.calls.append(span.name)
            if len(self.calls) % 2:
                raise RuntimeError("broken")

        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError(f"broken {span.name}")

    broken, provider = Broken(), TracerProvider()
    provider.add_span_processor(broken)
    with Client(address, ClientOptions(tracer_provider=provider)) as client:
        worker = Worker(client, "tests", queues=["broken"])
        worker.handler("broken")(lambda _: "done")
        with worker:
            assert [client.run("broken", queue="broken", wait=10) for _ in range(3)] == ["done"] * 3
    # The settle span is a child of the process span: where that did not start, there is none.
    calls = ["submit", "process", "settle", "submit", "process", "submit", "process"]
    assert broken.calls == [f"{name} broken" for name in calls]
