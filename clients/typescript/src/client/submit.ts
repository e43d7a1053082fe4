// The options of a job and its JobSpec.

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";

import { checkedJobId, newJobId } from "../data/job_id.js";
import { Payload } from "../data/payload.js";
import { durationOf, optionalDuration } from "../data/span.js";
import { type TraceContext, writeTraceContext } from "../data/trace_context.js";
import { InvalidRequest } from "../errors.js";
import { type JobSpec, JobSpecSchema, type RetryPolicy, RetryPolicySchema } from "../gen/jobstream/v1/job_pb.js";

/** Options of a job. All are optional. Durations are in milliseconds, at most 10 years. */
export interface SubmitOptions {
  /**
   * The job id, a UUID and the idempotency key: submitting the same job with the same id again returns the existing
   * job. UUIDv5 derives one from a name. Default: a new UUID v7, generated before the first attempt of the call.
   */
  readonly jobId?: string | undefined;
  /** The queue of the job. Default `default`. */
  readonly queue?: string | undefined;
  /** -100 to 100; larger starts first. Default 0. */
  readonly priority?: number | undefined;
  /** Delay between acceptance and the earliest start. */
  readonly delay?: number | undefined;
  /** Earliest start by the server's clock. Excludes `delay`. */
  readonly startTime?: Date | undefined;
  /** Overall timeout of the job. Default none. */
  readonly timeout?: number | undefined;
  /** Timeout of one attempt. Default 1 h. */
  readonly attemptTimeout?: number | undefined;
  /** Number of attempts including the first, 1 to 100. Default 1: no retry. */
  readonly maxAttempts?: number | undefined;
  /** Back-off between attempts. Only with `maxAttempts` above 1. */
  readonly retry?: RetryOptions | undefined;
  /** How long the finished job and its result are retained. Default 1 h. */
  readonly retention?: number | undefined;
  /** Labels to filter jobs by. At most 16; keys up to 64 bytes, values up to 256. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Headers for the handler. At most 16; keys up to 64 bytes, values up to 256. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The trace that the job belongs to, for the handler. The interceptors of `jobstream/otel` set it. */
  readonly traceContext?: TraceContext | undefined;
  /** Aborts the call. The job may or may not be accepted. */
  readonly signal?: AbortSignal | undefined;
}

/** The back-off between attempts. */
export interface RetryOptions {
  /** Back-off before the second attempt. Default 1 000. */
  readonly initialBackoff?: number | undefined;
  /** Factor between consecutive back-offs, 1 to 100. Default 2. */
  readonly multiplier?: number | undefined;
  /** Largest back-off. Default 1 h. */
  readonly maxBackoff?: number | undefined;
  /** Random fraction of each back-off, 0 to 1. Default 0.2. */
  readonly jitter?: number | undefined;
  /**
   * Number of attempts that may end by the loss of their worker, 1 to 100; they do not count as attempts. Default 3.
   */
  readonly maxLostAttempts?: number | undefined;
}

/**
 * Builds the JobSpec. Generates the job id if there is none.
 *
 * @throws InvalidRequest if an option is invalid.
 */
export function jobSpec(kind: string, input: unknown, options: SubmitOptions): JobSpec {
  const timeout = optionalDuration("job.timeout", options.timeout);
  const attemptTimeout = optionalDuration("job.attempt_timeout", options.attemptTimeout);
  const retention = optionalDuration("job.retention", options.retention);
  const retry = retryPolicy(options);
  return create(JobSpecSchema, {
    jobId: options.jobId === undefined ? newJobId() : checkedJobId("job.job_id", options.jobId),
    kind,
    queue: options.queue ?? "",
    payload: Payload.of(input).write(),
    priority: integer("job.priority", options.priority),
    start: start(options),
    labels: { ...options.labels },
    headers: { ...options.headers },
    ...(timeout && { timeout }),
    ...(attemptTimeout && { attemptTimeout }),
    ...(retention && { retention }),
    ...(retry && { retry }),
    ...(options.traceContext && { traceContext: writeTraceContext(options.traceContext) }),
  });
}

function start({ delay, startTime }: SubmitOptions): JobSpec["start"] {
  if (delay !== undefined && startTime !== undefined) {
    throw InvalidRequest.of("job.start", "has a delay and a start time: set only one");
  }
  if (delay !== undefined) {
    return { case: "startDelay", value: durationOf("job.start_delay", delay) };
  }
  if (startTime === undefined) {
    return { case: undefined };
  }
  if (Number.isNaN(startTime.getTime())) {
    throw InvalidRequest.of("job.start_time", "is an invalid date");
  }
  return { case: "startTime", value: timestampFromDate(startTime) };
}

function retryPolicy({ maxAttempts, retry }: SubmitOptions): RetryPolicy | undefined {
  if (maxAttempts === undefined && retry === undefined) {
    return undefined;
  }
  const initialBackoff = optionalDuration("job.retry.initial_backoff", retry?.initialBackoff);
  const maxBackoff = optionalDuration("job.retry.max_backoff", retry?.maxBackoff);
  return create(RetryPolicySchema, {
    maxAttempts: integer("job.retry.max_attempts", maxAttempts),
    multiplier: retry?.multiplier ?? 0,
    maxLostAttempts: integer("job.retry.max_lost_attempts", retry?.maxLostAttempts),
    ...(initialBackoff && { initialBackoff }),
    ...(maxBackoff && { maxBackoff }),
    ...(retry?.jitter !== undefined && { jitter: retry.jitter }),
  });
}

/** Rejects values that are not 32-bit integers. The server checks the limits. */
function integer(field: string, value = 0): number {
  if (!Number.isInteger(value) || Math.abs(value) > 2 ** 31 - 1) {
    throw InvalidRequest.of(field, `is ${value}: must be an integer`);
  }
  return value;
}
