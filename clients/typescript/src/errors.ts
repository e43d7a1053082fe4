// The errors of this library. All derive from JobstreamError; match them with `instanceof`.

import type { Failure } from "./data/outcome.js";

/** The name of a gRPC status code. */
export type StatusCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** An invalid field of a request. */
export interface Violation {
  /** Such as `job.kind`. */
  readonly field: string;
  /** Description of the violation, with the value and the limit. */
  readonly description: string;
}

/** The fields of an error besides its message. */
export interface ErrorFacts {
  readonly code?: StatusCode | undefined;
  readonly reason?: string | undefined;
  readonly retryAfter?: number | undefined;
  readonly violations?: readonly Violation[] | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly cause?: unknown;
}

/** The base class of all errors of this library. Errors without a class of their own are plain JobstreamErrors. */
export class JobstreamError extends Error {
  override readonly name: string = "JobstreamError";
  /** The status code of the call; undefined if no call failed. */
  readonly code: StatusCode | undefined;
  /** The stable reason of the server, such as `JOB_NOT_FOUND`; empty if there is none. */
  readonly reason: string;
  /** The delay in milliseconds that the server requests before a retry, if any. */
  readonly retryAfter: number | undefined;
  /** Every invalid field of the request. */
  readonly violations: readonly Violation[];
  /** Further values from the server, such as `boot_id`. */
  readonly metadata: Readonly<Record<string, string>>;

  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = facts.code;
    this.reason = facts.reason ?? "";
    this.retryAfter = facts.retryAfter;
    this.violations = facts.violations ?? [];
    this.metadata = facts.metadata ?? {};
  }
}

/** The job ended FAILED. `reason` is the failure reason, such as `HANDLER`. */
export class JobFailed extends JobstreamError {
  override readonly name: string = "JobFailed";

  constructor(
    readonly jobId: string,
    /** The failure of the last attempt. */
    readonly failure: Failure,
  ) {
    const type = failure.type === "" ? "" : `${failure.type}: `;
    super(`job ${jobId} failed in attempt ${failure.attempt}: ${type}${failure.message} (${failure.reason})`, {
      reason: failure.reason,
    });
  }
}

/** The job ended CANCELLED. */
export class JobCancelled extends JobstreamError {
  override readonly name: string = "JobCancelled";

  constructor(
    readonly jobId: string,
    /** The reason passed to `cancel`. */
    readonly cancelReason: string,
    /** True if the handler did not stop within the grace time and its lease was revoked. */
    readonly forced: boolean,
  ) {
    const why = cancelReason === "" ? "" : `: ${cancelReason}`;
    super(`job ${jobId} was cancelled${forced ? ", by force" : ""}${why}`);
  }
}

/** The wait timed out. The job continues. */
export class NotFinished extends JobstreamError {
  override readonly name: string = "NotFinished";
}

/** No job has this id. */
export class JobNotFound extends JobstreamError {
  override readonly name: string = "JobNotFound";
}

/** A restart of the server lost the job (memory mode): submit it again. */
export class ServerRestarted extends JobNotFound {
  override readonly name: string = "ServerRestarted";
}

/** The job ended and its result is no longer retained. */
export class ResultExpired extends JobstreamError {
  override readonly name: string = "ResultExpired";
}

/** The result does not match its content type. `payload()` returns it undecoded. */
export class ResultMismatch extends JobstreamError {
  override readonly name: string = "ResultMismatch";
}

/** The id belongs to a job with another spec. */
export class JobIdReused extends JobstreamError {
  override readonly name: string = "JobIdReused";
}

/**
 * The request is invalid. `violations` lists every invalid field. A payload over the limit also has this error. `code` is
 * undefined if the client rejected a value without a call, such as a job id that is not a UUID.
 */
export class InvalidRequest extends JobstreamError {
  override readonly name: string = "InvalidRequest";

  /** An error found by the client. @internal */
  static of(field: string, description: string): InvalidRequest {
    const violations = [{ field, description }];
    return new InvalidRequest(`${field} ${description}`, { reason: "INVALID_FIELD", violations });
  }
}

/** The state of the job does not allow the call. */
export class IllegalState extends JobstreamError {
  override readonly name: string = "IllegalState";
}

/**
 * The credential is missing, invalid or expired: `reason` is `CREDENTIAL_REQUIRED`, `CREDENTIAL_INVALID` or
 * `CREDENTIAL_EXPIRED`; or `CLIENT_CERTIFICATE`, if the server requires or refuses a client certificate. Also HTTP
 * status 401 of a proxy.
 */
export class Unauthenticated extends JobstreamError {
  override readonly name: string = "Unauthenticated";
}

/** The credential does not allow the call. The message names the missing grant. Also HTTP status 403 of a proxy. */
export class PermissionDenied extends JobstreamError {
  override readonly name: string = "PermissionDenied";
}

/**
 * A limit of the server is reached, or a quota of the caller (`reason` is `QUOTA`). The server stored nothing. With
 * `retryAfter` the call may be retried.
 */
export class ResourceExhausted extends JobstreamError {
  override readonly name: string = "ResourceExhausted";
}

/**
 * The server is unavailable or unreachable. If TLS is the cause, `reason` is `UNKNOWN_CA`, `INVALID_CERTIFICATE`,
 * `NOT_TLS`, `TLS_REQUIRED` or `TLS_FAILED`; only the last one is retried. `TOKEN_UNAVAILABLE` is the reason if the function
 * of the token failed.
 */
export class Unavailable extends JobstreamError {
  override readonly name: string = "Unavailable";
}

/** No response within the call timeout. The server may or may not have processed the call. */
export class DeadlineExceeded extends JobstreamError {
  override readonly name: string = "DeadlineExceeded";
}
