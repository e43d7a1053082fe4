// Converts errors of the client to error classes of the agent protocol.

import {
  DeadlineExceeded,
  IllegalState,
  InvalidRequest,
  JobCancelled,
  JobFailed,
  JobIdReused,
  JobNotFound,
  JobstreamError,
  NotFinished,
  ResourceExhausted,
  ResultExpired,
  ServerRestarted,
  Unavailable,
} from "jobstream";

/** Subclasses come before their base class. */
const CLASSES: [typeof JobstreamError, string][] = [
  [NotFinished, "not_finished"],
  [ServerRestarted, "server_restarted"],
  [JobNotFound, "job_not_found"],
  [ResultExpired, "result_expired"],
  [JobIdReused, "job_id_reused"],
  [InvalidRequest, "invalid_request"],
  [IllegalState, "illegal_state"],
  [ResourceExhausted, "resource_exhausted"],
  [Unavailable, "unavailable"],
  [DeadlineExceeded, "deadline_exceeded"],
];

/** Whether the client rejected a value without a call. */
function isCallerError(error: JobstreamError): boolean {
  return error instanceof InvalidRequest && error.code === undefined;
}

export function encodeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof JobstreamError)) {
    return { class: "other", reason: "", message: String(error) };
  }
  const { reason, message } = error;
  if (error instanceof JobFailed) {
    const { type, message: why, attempt, retryable } = error.failure;
    return { class: "job_failed", reason, message, failure: { reason, type, message: why, attempt, retryable } };
  }
  if (error instanceof JobCancelled) {
    const { cancelReason, forced } = error;
    return { class: "job_cancelled", reason, message, cancellation: { reason: cancelReason, forced } };
  }
  const known = CLASSES.find(([Class]) => error instanceof Class)?.[1] ?? "other";
  const name = isCallerError(error) ? "invalid_argument" : known;
  return { class: name, reason, message, violations: error.violations.map(({ field }) => field) };
}
