// Durations: milliseconds in this library, protobuf durations on the wire.

import { type Duration, DurationSchema, durationMs } from "@bufbuild/protobuf/wkt";
import { create } from "@bufbuild/protobuf";

import { InvalidRequest } from "../errors.js";

/** Largest duration that the server accepts. */
const SPAN_MAX = 3650 * 24 * 3600 * 1000;
/** Largest delay of a timer. A larger one would fire immediately. */
const TIMER_MAX = 2 ** 31 - 1;

/**
 * Converts milliseconds to a protobuf duration.
 *
 * @throws InvalidRequest if the value is out of range.
 */
export function durationOf(field: string, span: number): Duration {
  if (!(span >= 0 && span <= SPAN_MAX)) {
    throw InvalidRequest.of(field, `is ${span}: must be 0 to ${SPAN_MAX} milliseconds (10 years)`);
  }
  const micros = Math.round(span * 1000);
  return create(DurationSchema, {
    seconds: BigInt(Math.floor(micros / 1_000_000)),
    nanos: (micros % 1_000_000) * 1000,
  });
}

/** Converts optional milliseconds to a protobuf duration. */
export function optionalDuration(field: string, span: number | undefined): Duration | undefined {
  return span === undefined ? undefined : durationOf(field, span);
}

/** Converts a protobuf duration to milliseconds. Unset and negative durations are 0. */
export function spanOf(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Math.max(0, durationMs(duration));
}

/** Limits a delay to the range of timers. */
export function timerSpan(span: number): number {
  return Math.min(Math.max(0, span), TIMER_MAX);
}

/** The monotonic clock in milliseconds. */
export function now(): number {
  return performance.now();
}
