// States, failures and outcomes of jobs.

import { InvalidRequest, JobstreamError } from "../errors.js";
import * as wire from "../gen/jobstream/v1/job_pb.js";
import { Payload } from "./payload.js";

/** The state of a job. The last three are final. */
export type JobState = Exclude<keyof typeof wire.JobState, "UNSPECIFIED">;

/** Why a waiting job is not running. */
export type WaitReason = Exclude<keyof typeof wire.WaitReason, "UNSPECIFIED">;

/** The failure reason. UNSPECIFIED for a reason of a newer server. */
export type FailureReason = keyof typeof wire.FailureReason;

/** The failure of an attempt. */
export interface Failure {
  readonly reason: FailureReason;
  /** The error type of the handler, such as `TypeError`. May be empty. */
  readonly type: string;
  /** Human-readable text. */
  readonly message: string;
  /** Further details, such as a stack trace. */
  readonly details: Payload | undefined;
  /** Number of the failed attempt, from 1. */
  readonly attempt: number;
  /** Whether a retry may succeed. */
  readonly retryable: boolean;
}

/** The outcome of a job. */
export type Outcome =
  | { readonly type: "result"; readonly payload: Payload }
  | { readonly type: "failure"; readonly failure: Failure }
  | { readonly type: "cancellation"; readonly reason: string; readonly forced: boolean };

/** Decodes a state. */
export function readState(state: wire.JobState): JobState {
  const name = wire.JobState[state] as JobState | "UNSPECIFIED" | undefined;
  if (name === undefined || name === "UNSPECIFIED") {
    throw unreadable("a state");
  }
  return name;
}

/**
 * Encodes a state.
 *
 * @throws InvalidRequest if it is unknown.
 */
export function writeState(state: JobState): wire.JobState {
  const value = wire.JobState[state] as wire.JobState | undefined;
  if (value === undefined) {
    throw InvalidRequest.of("states", `has ${JSON.stringify(state)}: use a state such as "QUEUED"`);
  }
  return value;
}

export function isFinal(state: JobState): boolean {
  return state === "SUCCEEDED" || state === "FAILED" || state === "CANCELLED";
}

export function readWaitReason(reason: wire.WaitReason): WaitReason | undefined {
  const name = wire.WaitReason[reason] as WaitReason | "UNSPECIFIED" | undefined;
  return name === "UNSPECIFIED" ? undefined : name;
}

export function readFailure(failure: wire.Failure): Failure {
  return {
    reason: (wire.FailureReason[failure.reason] as FailureReason | undefined) ?? "UNSPECIFIED",
    type: failure.type,
    message: failure.message,
    details: failure.details && Payload.read(failure.details),
    attempt: failure.attempt,
    retryable: failure.retryable,
  };
}

export function readOutcome({ end }: wire.Outcome): Outcome {
  switch (end.case) {
    case "result":
      return { type: "result", payload: Payload.read(end.value) };
    case "failure":
      return { type: "failure", failure: readFailure(end.value) };
    case "cancellation":
      return { type: "cancellation", reason: end.value.reason, forced: end.value.forced };
    case undefined:
      throw unreadable("an outcome");
  }
}

/** The error for a value of a newer server. */
export function unreadable(what: string): JobstreamError {
  const message = `the server sent ${what} that this client does not know: upgrade the client`;
  return new JobstreamError(message, { code: "INTERNAL", reason: "UNREADABLE" });
}
