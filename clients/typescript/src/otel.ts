// Entry point `jobstream/otel`: interceptors that make spans with OpenTelemetry. It needs the package @opentelemetry/api.

import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  context,
  createTraceState,
  isSpanContextValid,
  propagation,
  trace,
} from "@opentelemetry/api";

import type { SubmitInterceptor } from "./client/interceptors.js";
import type { TraceContext } from "./data/trace_context.js";
import type { JobstreamError } from "./errors.js";
import { VERSION } from "./version.js";
import { BadPayload, messageOf, typeName } from "./worker/final_report.js";
import type { HandlerInterceptor } from "./worker/handler.js";

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/;

export interface TracingOptions {
  /** Makes the spans. Default: the global provider. */
  readonly tracerProvider?: TracerProvider | undefined;
}

/**
 * Makes a PRODUCER span `submit {queue}` for each submit, with the current span as its parent. Its context and the baggage
 * go with the job. The span of a job of a batch ends before the job is sent.
 */
export function submitTracing(options: TracingOptions = {}): SubmitInterceptor {
  const tracer = tracerOf(options);
  return (job, next) => {
    const { traceContext: given } = job;
    const parent = given === undefined ? context.active() : extracted(given, context.active());
    const attributes = attributesOf("submit", "send", job.jobId, job);
    const span = tracer.startSpan(`submit ${job.queue}`, { kind: SpanKind.PRODUCER, attributes }, parent);
    const inner = trace.setSpan(parent, span);
    const traceContext = injected(inner) ?? given;
    return within(span, inner, () => next({ ...job, traceContext }));
  };
}

/**
 * Makes a CONSUMER span `process {queue}` for each attempt, with a link to the submit, which is the current span in the
 * handler. The first attempt is a child of the submit. Each later one begins a new trace, because a trace that lasts for
 * hours is of little use.
 *
 * Its child is a CLIENT span `settle {queue}`, from the end of the handler until the server has acknowledged the end of the
 * attempt.
 */
export function handlerTracing(options: TracingOptions = {}): HandlerInterceptor {
  const tracer = tracerOf(options);
  return (attempt, next) => {
    const submitter = extracted(attempt.traceContext ?? {}, ROOT_CONTEXT);
    const submit = trace.getSpanContext(submitter);
    const parent = attempt.attempt === 1 ? submitter : trace.deleteSpan(submitter);
    const links = submit === undefined ? [] : [{ context: submit }];
    const attributes = {
      ...attributesOf("process", "process", attempt.jobId, attempt),
      "jobstream.job.attempt": attempt.attempt,
    };
    const span = tracer.startSpan(`process ${attempt.queue}`, { kind: SpanKind.CONSUMER, attributes, links }, parent);
    const inner = trace.setSpan(parent, span);
    // An error after an abort does not count as a failure.
    const process = () => within(span, inner, next, attempt.signal);
    if (!span.isRecording()) {
      return process();
    }
    let settle: Span | undefined;
    attempt.onSettled((error) => {
      endSettle(settle, error);
    });
    return process().finally(() => {
      const operation = { "messaging.operation.name": "settle", "messaging.operation.type": "settle" };
      const settling = { kind: SpanKind.CLIENT, attributes: { ...attributes, ...operation } };
      settle = tracer.startSpan(`settle ${attempt.queue}`, settling, inner);
    });
  };
}

function endSettle(span: Span | undefined, error: JobstreamError | undefined): void {
  if (error !== undefined) {
    span?.setAttribute("error.type", error.reason || typeName(error));
    span?.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  }
  span?.end();
}

/** The current span and baggage, for `traceContext` of a retry. Undefined if there is no span. */
export function currentTraceContext(): TraceContext | undefined {
  return injected(context.active());
}

function tracerOf({ tracerProvider }: TracingOptions): Tracer {
  return (tracerProvider ?? trace).getTracer("jobstream", VERSION);
}

/** The attributes of the semantic conventions for messaging, and those of jobs. */
function attributesOf(
  name: string,
  operation: string,
  jobId: string,
  { queue, kind }: { queue: string; kind: string },
): Attributes {
  return {
    "messaging.system": "jobstream",
    "messaging.destination.name": queue,
    "messaging.operation.name": name,
    "messaging.operation.type": operation,
    "messaging.message.id": jobId,
    "jobstream.job.kind": kind,
  };
}

/** Runs a function with this span as the current one, and ends the span. */
async function within<A>(span: Span, inner: Context, run: () => Promise<A>, signal?: AbortSignal): Promise<A> {
  try {
    return await context.with(inner, () => run());
  } catch (error) {
    if (signal?.aborted !== true) {
      fail(span, error);
    }
    throw error;
  } finally {
    span.end();
  }
}

function fail(span: Span, error: unknown): void {
  if (error instanceof BadPayload) {
    // Its message may quote the payload.
    span.setAttribute("error.type", "BAD_PAYLOAD").setStatus({ code: SpanStatusCode.ERROR });
    return;
  }
  span.setAttribute("error.type", typeName(error));
  span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
  span.recordException(error instanceof Error ? error : messageOf(error));
}

/** The context with the span and the baggage of a submitter. */
function extracted({ traceparent = "", tracestate, baggage }: TraceContext, base: Context): Context {
  const [, traceId = "", spanId = "", flags = ""] = TRACEPARENT.exec(traceparent) ?? [];
  const submitter = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(tracestate && { traceState: createTraceState(tracestate) }),
  };
  const parent = isSpanContextValid(submitter) ? trace.setSpanContext(base, submitter) : base;
  return baggage ? propagation.extract(parent, { baggage }) : parent;
}

/** The span and the baggage of a context; undefined if it has no span. */
function injected(inner: Context): TraceContext | undefined {
  const span = trace.getSpanContext(inner);
  if (span === undefined || !isSpanContextValid(span)) {
    return undefined;
  }
  const carrier: { baggage?: string } = {};
  propagation.inject(inner, carrier);
  const flags = span.traceFlags.toString(16).padStart(2, "0");
  return {
    traceparent: `00-${span.traceId}-${span.spanId}-${flags}`,
    tracestate: span.traceState?.serialize(),
    baggage: carrier.baggage,
  };
}
