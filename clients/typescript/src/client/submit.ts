// What is said of a job when it is submitted.

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { v7 } from "uuid";

import { Payload } from "../data/payload.js";
import { durationOf, optionalDuration } from "../data/span.js";
import { InvalidRequest } from "../errors.js";
import { type JobSpec, JobSpecSchema, type RetryPolicy, RetryPolicySchema } from "../gen/jobstream/v1/job_pb.js";

/** Everything may be left out. All spans are milliseconds, at most 10 years. */
export interface SubmitOptions {
  /**
   * UUID of the job and its idempotency key: submitting the same id with the same spec again answers the job that
   * exists. Default: a new UUID v7, minted before the first try.
   */
  readonly jobId?: string | undefined;
  /** Where the job waits. Default `default`. */
  readonly queue?: string | undefined;
  /** -100 to 100; larger starts first. Default 0. */
  readonly priority?: number | undefined;
  /** Not before this long after acceptance. */
  readonly delay?: number | undefined;
  /** Not before this time of the server's clock. Not together with `delay`. */
  readonly startTime?: Date | undefined;
  /** Longest life of the whole job. Default none. */
  readonly timeout?: number | undefined;
  /** Longest time of one attempt. Default 1 h. */
  readonly attemptTimeout?: number | undefined;
  /** Attempts in all, 1 to 100. Default 1: no retry. */
  readonly maxAttempts?: number | undefined;
  /** How attempts follow one another. */
  readonly retry?: RetryOptions | undefined;
  /** How long the finished job and its result are kept. Default 1 h. */
  readonly retention?: number | undefined;
  /** For finding jobs again. At most 16; keys up to 64 bytes, values up to 256. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Handed to the handler, opaque to the server. At most 16; keys up to 64 bytes, values up to 256. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Ends the call; the job may have been accepted all the same. */
  readonly signal?: AbortSignal | undefined;
}

/** The pauses between attempts. */
export interface RetryOptions {
  /** Pause before the second attempt. Default 1 000. */
  readonly initialBackoff?: number | undefined;
  /** Factor between one pause and the next, 1 to 100. Default 2. */
  readonly multiplier?: number | undefined;
  /** Longest pause. Default 1 h. */
  readonly maxBackoff?: number | undefined;
  /** Share of each pause that is random, 0 to 1. Default 0.2. */
  readonly jitter?: number | undefined;
  /** Attempts that may be lost with their worker, 1 to 100; they do not count as attempts. Default 3. */
  readonly maxLostAttempts?: number | undefined;
}

/** The spec, with an id of its own. */
export function jobSpec(kind: string, input: unknown, options: SubmitOptions): JobSpec {
  const timeout = optionalDuration("job.timeout", options.timeout);
  const attemptTimeout = optionalDuration("job.attempt_timeout", options.attemptTimeout);
  const retention = optionalDuration("job.retention", options.retention);
  const retry = retryPolicy(options);
  return create(JobSpecSchema, {
    jobId: options.jobId ?? v7(),
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
  });
}

function start({ delay, startTime }: SubmitOptions): JobSpec["start"] {
  if (delay !== undefined && startTime !== undefined) {
    throw InvalidRequest.of("job.start", "has a delay and a start time: give one of them");
  }
  if (delay !== undefined) {
    return { case: "startDelay", value: durationOf("job.start_delay", delay) };
  }
  if (startTime === undefined) {
    return { case: undefined };
  }
  if (Number.isNaN(startTime.getTime())) {
    throw InvalidRequest.of("job.start_time", "is an invalid date: give one that exists");
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

/** The encoder refuses what is no 32-bit integer with less to go by; bounds are the server's. */
function integer(field: string, value = 0): number {
  if (!Number.isInteger(value) || Math.abs(value) > 2 ** 31 - 1) {
    throw InvalidRequest.of(field, `is ${value}: give an integer`);
  }
  return value;
}
