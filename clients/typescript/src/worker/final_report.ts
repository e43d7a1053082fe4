// How an attempt ends: what its handler answers or throws, as the server is told.

import { create } from "@bufbuild/protobuf";

import type { FailureReason } from "../data/outcome.js";
import { Payload } from "../data/payload.js";
import { durationOf } from "../data/span.js";
import { cutText } from "../data/text.js";
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

/** A report, without lease and number. */
export type News = AttemptReport["news"];

/** Thrown by a handler: no other attempt could help, the job ends FAILED. */
export class PermanentError extends Error {
  override readonly name: string = "PermanentError";
}

/** Thrown by a handler: try again after this pause, in place of the retry policy's. It counts as an attempt. */
export class RetryLater extends Error {
  override readonly name: string = "RetryLater";

  /**
   * @param after milliseconds, at most 10 years.
   * @throws InvalidRequest if they are none.
   */
  constructor(
    readonly after: number,
    message = `to be tried again after ${after} ms`,
    options?: ErrorOptions,
  ) {
    super(message, options);
    durationOf("after", after);
  }
}

/** What the server takes of results. */
export interface Limits {
  /** Largest result or chunk of output. */
  readonly payloadBytesMax: number;
  /** Largest message. */
  readonly messageBytesMax: number;
}

/** What a message takes beside a result. */
const MESSAGE_MARGIN = 64 * 1024;

/** The attempt succeeded; a result that is too large fails it, which the server says itself if it can read it. */
export function completed(result: Payload, { payloadBytesMax: bytesMax, messageBytesMax }: Limits): News {
  if (result.size > bytesMax && result.size > messageBytesMax - MESSAGE_MARGIN) {
    const text = `the result is ${result.size} bytes, the limit is ${bytesMax}: store it elsewhere and return a reference`;
    return failed("RESULT_TOO_LARGE", text);
  }
  return { case: "complete", value: create(AttemptCompleteSchema, { result: result.write() }) };
}

/** The job is given back without counting the attempt. */
export function released(): News {
  return { case: "release", value: create(AttemptReleaseSchema) };
}

/** The handler stopped because it was cancelled. */
export function stopped(): News {
  return { case: "stopped", value: create(AttemptStoppedSchema) };
}

/** The attempt failed as no other could help. */
export function failed(reason: FailureReason, message: string): News {
  return fail(failure({ reason: WireReason[reason], message, retryable: false }));
}

/** The attempt failed with what its handler threw. */
export function thrown(error: unknown): News {
  const details =
    error instanceof Error && error.stack !== undefined
      ? Payload.text(cutText(error.stack, DETAILS_BYTES_MAX))
      : undefined;
  const told = failure({
    reason: WireReason.HANDLER,
    type: cutText(typeName(error), TYPE_BYTES_MAX),
    message: messageOf(error),
    retryable: !(error instanceof PermanentError),
    ...(details && { details: details.write() }),
  });
  return fail(told, error instanceof RetryLater ? error.after : undefined);
}

/** What a handler's parser or the JSON reader has against the input. */
export function badPayload(error: unknown): News {
  return failed("BAD_PAYLOAD", `the payload is not what this kind reads: ${complaint(error)}`);
}

function fail(failure: Failure, after?: number): News {
  const pause = after === undefined ? {} : { retryAfter: durationOf("after", after) };
  return { case: "fail", value: create(AttemptFailSchema, { failure, ...pause }) };
}

function failure(init: Partial<Omit<Failure, "$typeName" | "$unknown">>): Failure {
  return create(FailureSchema, { ...init, message: cutText(init.message ?? "", MESSAGE_BYTES_MAX) });
}

/** Anything can be thrown. */
function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? withCauses(error) : String(error);
  } catch {
    return "something that has no form as text was thrown";
  }
}

function withCauses(error: Error): string {
  const { cause } = error;
  return cause instanceof Error && cause !== error ? `${error.message}: ${cause.message}` : error.message;
}

function typeName(error: unknown): string {
  if (!(error instanceof Error)) {
    return typeof error;
  }
  return error.name === "Error" ? error.constructor.name : error.name;
}

/** Names the fields, if the error lists issues as those of zod do. */
function complaint(error: unknown): string {
  const { issues } = Object(error) as { issues?: unknown };
  if (!Array.isArray(issues)) {
    return messageOf(error);
  }
  const told = issues.map((issue: unknown) => {
    const { path, message } = Object(issue) as { path?: unknown; message?: unknown };
    const field = Array.isArray(path) ? path.map(String).join(".") : "";
    return `${field === "" ? "" : `${field}: `}${String(message)}`;
  });
  return told.join("; ");
}
