// The trace context of a job.

import { create } from "@bufbuild/protobuf";

import { type TraceContext as Wire, TraceContextSchema } from "../gen/jobstream/v1/job_pb.js";

/** Printable ASCII up to the limits of the server: 512 bytes and 4 KiB. */
const TRACESTATE = /^[\x20-\x7e]{0,512}$/;
const BAGGAGE = /^[\x20-\x7e]{0,4096}$/;

/** W3C Trace Context of the submitter of a job. */
export interface TraceContext {
  /** The trace, the span and the flags: 55 characters, such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. */
  readonly traceparent?: string | undefined;
  /** The state of tracing systems. Left out of a submit if it is over 512 bytes. */
  readonly tracestate?: string | undefined;
  /** Names and values that every service on the way may read. Left out of a submit if it is over 4 KiB. */
  readonly baggage?: string | undefined;
}

/** The parts that are set; undefined if there are none. */
export function readTraceContext(wire: Wire | undefined): TraceContext | undefined {
  const { traceparent, tracestate, baggage } = wire ?? {};
  if (!traceparent && !baggage) {
    return undefined;
  }
  return { ...(traceparent && { traceparent }), ...(tracestate && { tracestate }), ...(baggage && { baggage }) };
}

/** The headers of a call with this trace context. */
export function traceHeaders(context: TraceContext | undefined): Record<string, string> {
  const { traceparent, tracestate, baggage } = writeTraceContext(context ?? {});
  return { ...(traceparent && { traceparent, ...(tracestate && { tracestate }) }), ...(baggage && { baggage }) };
}

export function writeTraceContext(context: TraceContext): Wire {
  const { traceparent = "", tracestate = "", baggage = "" } = context;
  return create(TraceContextSchema, {
    traceparent,
    tracestate: TRACESTATE.test(tracestate) ? tracestate : "",
    baggage: BAGGAGE.test(baggage) ? baggage : "",
  });
}
