// Converts the result or error of a handler into the final report of its attempt.

import { create } from "@bufbuild/protobuf";

import type { FailureReason } from "../data/outcome.js";
import { Payload } from "../data/payload.js";
import { durationOf } from "../data/span.js";
import { truncateText } from "../data/text.js";
import { type Failure, FailureSchema, FailureReason as WireReason } from "../gen/jobstream/v1/job_pb.js";
import {
  AttemptCompleteSchema,
  AttemptFailSchema,
  AttemptReleaseSchema,
  type AttemptReport,
  AttemptStoppedSchema,
} from "../gen/jobstream/v1/worker_service_pb.js";

const TYPE_BYTES_MAX = 256;
const MESSAGE_BYTES_MAX = 4 * 1024;
const DETAILS_BYTES_MAX = 16 * 1024;

/** The body of a report, without lease and number. */
export type ReportBody = AttemptReport["news"];

/** Thrown by a handler: the job fails and is not retried. */
export class PermanentError extends Error {
  override readonly name: string = "PermanentError";
}

/**
 * Thrown by a handler: the next attempt starts after this delay, in place of the retry policy's. The attempt counts.
 */
export class RetryLater extends Error {
  override readonly name: string = "RetryLater";

  /**
   * @param after milliseconds, at most 10 years.
   * @throws InvalidRequest if it is out of range.
   */
  constructor(
    readonly after: number,
    message = `retry after ${after} ms`,
    options?: ErrorOptions,
  ) {
    super(message, options);
    durationOf("after", after);
  }
}

/** The limits of the server for results. */
export interface Limits {
  /** Largest result or chunk of output in bytes. */
  readonly payloadBytesMax: number;
  /** Largest message in bytes. */
  readonly messageBytesMax: number;
}

/** Size of a message without the result, an upper bound. */
const MESSAGE_MARGIN = 64 * 1024;

/**
 * The report of a successful attempt. A result over both limits fails the attempt here; the server rejects smaller ones
 * itself.
 */
export function completed(result: Payload, { payloadBytesMax: bytesMax, messageBytesMax }: Limits): ReportBody {
  if (result.size > bytesMax && result.size > messageBytesMax - MESSAGE_MARGIN) {
    const text = `result is ${result.size} bytes, limit is ${bytesMax}: store it elsewhere and return a reference`;
    return failed("RESULT_TOO_LARGE", text);
  }
  return { case: "complete", value: create(AttemptCompleteSchema, { result: result.write() }) };
}

/** The report that releases the attempt. It does not count as a failure. */
export function release(): ReportBody {
  return { case: "release", value: create(AttemptReleaseSchema) };
}

/** The report of a handler that stopped because of a cancellation. */
export function stopped(): ReportBody {
  return { case: "stopped", value: create(AttemptStoppedSchema) };
}

/** The report of a failure that is not retryable. */
export function failed(reason: FailureReason, message: string): ReportBody {
  return fail(failure({ reason: WireReason[reason], message, retryable: false }));
}

/** The report of a handler that threw an error. */
export function failedWith(error: unknown): ReportBody {
  const details =
    error instanceof Error && error.stack !== undefined
      ? Payload.text(truncateText(error.stack, DETAILS_BYTES_MAX))
      : undefined;
  const failure_ = failure({
    reason: WireReason.HANDLER,
    type: truncateText(typeName(error), TYPE_BYTES_MAX),
    message: messageOf(error),
    retryable: !(error instanceof PermanentError),
    ...(details && { details: details.write() }),
  });
  return fail(failure_, error instanceof RetryLater ? error.after : undefined);
}

/** The input does not fit the handler. The message may quote the input. */
export class BadPayload extends Error {
  override readonly name: string = "BadPayload";

  constructor(cause: unknown) {
    super(`invalid payload: ${describeIssues(cause)}`, { cause });
  }
}

function fail(failure: Failure, after?: number): ReportBody {
  const pause = after === undefined ? {} : { retryAfter: durationOf("after", after) };
  return { case: "fail", value: create(AttemptFailSchema, { failure, ...pause }) };
}

function failure(init: Partial<Omit<Failure, "$typeName" | "$unknown">>): Failure {
  return create(FailureSchema, { ...init, message: truncateText(init.message ?? "", MESSAGE_BYTES_MAX) });
}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? withCauses(error) : String(error);
  } catch {
    return "the thrown value cannot be converted to a string";
  }
}

function withCauses(error: Error): string {
  const { cause } = error;
  return cause instanceof Error && cause !== error ? `${error.message}: ${cause.message}` : error.message;
}

/** The name of the type of any thrown value. */
export function typeName(error: unknown): string {
  if (!(error instanceof Error)) {
    return typeof error;
  }
  return error.name === "Error" ? error.constructor.name : error.name;
}

/** The message of an error. Lists the fields of an error with issues like those of zod. */
function describeIssues(error: unknown): string {
  const { issues } = Object(error) as { issues?: unknown };
  if (!Array.isArray(issues)) {
    return messageOf(error);
  }
  const failure_ = issues.map((issue: unknown) => {
    const { path, message } = Object(issue) as { path?: unknown; message?: unknown };
    const field = Array.isArray(path) ? path.map(String).join(".") : "";
    return `${field === "" ? "" : `${field}: `}${String(message)}`;
  });
  return failure_.join("; ");
}
