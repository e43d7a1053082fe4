// Spans of time: milliseconds here, durations on the wire.

import { type Duration, DurationSchema, durationMs } from "@bufbuild/protobuf/wkt";
import { create } from "@bufbuild/protobuf";

import { InvalidRequest } from "../errors.js";

/** Longest span that the server takes. */
const SPAN_MAX = 3650 * 24 * 3600 * 1000;
/** Longest delay of a timer; a longer one would fire at once. */
const TIMER_MAX = 2 ** 31 - 1;

/**
 * The duration of a span given by the caller.
 *
 * @throws InvalidRequest if it is none.
 */
export function durationOf(field: string, span: number): Duration {
  if (!(span >= 0 && span <= SPAN_MAX)) {
    throw InvalidRequest.of(field, `is ${span}: allowed are 0 to ${SPAN_MAX} milliseconds, 10 years`);
  }
  const micros = Math.round(span * 1000);
  return create(DurationSchema, {
    seconds: BigInt(Math.floor(micros / 1_000_000)),
    nanos: (micros % 1_000_000) * 1000,
  });
}

/** The same, of a span that may be left out. */
export function optionalDuration(field: string, span: number | undefined): Duration | undefined {
  return span === undefined ? undefined : durationOf(field, span);
}

/** The span of a duration of the server; one that is unset or negative is 0. */
export function spanOf(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Math.max(0, durationMs(duration));
}

/** A span as a timer takes it. */
export function timerSpan(span: number): number {
  return Math.min(Math.max(0, span), TIMER_MAX);
}

/** Milliseconds of a clock that only goes forward. */
export function now(): number {
  return performance.now();
}
