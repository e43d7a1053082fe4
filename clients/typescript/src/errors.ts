// Every error of this library. All derive from JobstreamError; match them with `instanceof`.

import type { Failure } from "./data/outcome.js";

/** A gRPC status by name. */
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

/** A rule that a field of a request breaks. */
export interface Violation {
  /** Such as `job.kind`. */
  readonly field: string;
  /** What is wrong, with the value and the limit. */
  readonly description: string;
}

/** What is known of an error beside its message. */
export interface ErrorFacts {
  readonly code?: StatusCode | undefined;
  readonly reason?: string | undefined;
  readonly retryAfter?: number | undefined;
  readonly violations?: readonly Violation[] | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly cause?: unknown;
}

/** The base of all errors of this library. Itself it is what fits none of the others. */
export class JobstreamError extends Error {
  override readonly name: string = "JobstreamError";
  /** The status of the call, or undefined if no call failed. */
  readonly code: StatusCode | undefined;
  /** Stable and for programs, such as `JOB_NOT_FOUND`; empty if the server gave none. */
  readonly reason: string;
  /** Milliseconds after which the server asks to try again, if it does. */
  readonly retryAfter: number | undefined;
  /** Every rule that the request breaks. */
  readonly violations: readonly Violation[];
  /** Facts that the server gave, such as `boot_id`. */
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

/** The job ended FAILED. `reason` is that of the failure, such as `HANDLER`. */
export class JobFailed extends JobstreamError {
  override readonly name: string = "JobFailed";

  constructor(
    readonly jobId: string,
    /** Why the last attempt failed. */
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
    /** The one given to `cancel`. */
    readonly cancelReason: string,
    /** True if its handler did not stop in time and was ended by force. */
    readonly forced: boolean,
  ) {
    const why = cancelReason === "" ? "" : `: ${cancelReason}`;
    super(`job ${jobId} was cancelled${forced ? ", by force" : ""}${why}`);
  }
}

/** The time for waiting passed. The job goes on. */
export class NotFinished extends JobstreamError {
  override readonly name: string = "NotFinished";
}

/** No job has this id. */
export class JobNotFound extends JobstreamError {
  override readonly name: string = "JobNotFound";
}

/** The job was accepted by a server that lost it in a restart, because it keeps jobs in memory: submit it again. */
export class ServerRestarted extends JobNotFound {
  override readonly name: string = "ServerRestarted";
}

/** The job is known, but its result is past its retention. */
export class ResultExpired extends JobstreamError {
  override readonly name: string = "ResultExpired";
}

/** The job has a result that is not what its content type says; `payload()` gives it as it is. */
export class ResultMismatch extends JobstreamError {
  override readonly name: string = "ResultMismatch";
}

/** The id belongs to a job with another spec. */
export class JobIdReused extends JobstreamError {
  override readonly name: string = "JobIdReused";
}

/** A field breaks a rule: `violations` lists all of them. Payloads that are too large are among these. */
export class InvalidRequest extends JobstreamError {
  override readonly name: string = "InvalidRequest";

  /** One that is found before anything is sent. @internal */
  static of(field: string, description: string): InvalidRequest {
    const violations = [{ field, description }];
    return new InvalidRequest(`${field} ${description}`, {
      code: "INVALID_ARGUMENT",
      reason: "INVALID_FIELD",
      violations,
    });
  }
}

/** The job's state forbids the call. */
export class IllegalState extends JobstreamError {
  override readonly name: string = "IllegalState";
}

/** A bound of the server is reached; nothing was kept. With `retryAfter` it may be tried again. */
export class ResourceExhausted extends JobstreamError {
  override readonly name: string = "ResourceExhausted";
}

/** The server takes no calls now, or nobody answers. */
export class Unavailable extends JobstreamError {
  override readonly name: string = "Unavailable";
}

/** No answer came within the call timeout: the call may or may not have arrived. */
export class DeadlineExceeded extends JobstreamError {
  override readonly name: string = "DeadlineExceeded";
}
