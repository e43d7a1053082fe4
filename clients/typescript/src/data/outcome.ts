// States of jobs and how they end.

import { JobstreamError } from "../errors.js";
import * as wire from "../gen/jobstream/v1/job_pb.js";
import { Payload } from "./payload.js";

/** Where a job is in its life. The last three are final. */
export type JobState = Exclude<keyof typeof wire.JobState, "UNSPECIFIED">;

/** Why a job that waits is not running. */
export type WaitReason = Exclude<keyof typeof wire.WaitReason, "UNSPECIFIED">;

/** What kind of failure it was. UNSPECIFIED if a newer server names one that is not known here. */
export type FailureReason = keyof typeof wire.FailureReason;

/** Why an attempt failed. */
export interface Failure {
  readonly reason: FailureReason;
  /** The handler's own name for the error, such as `TypeError`. May be empty. */
  readonly type: string;
  /** For people. */
  readonly message: string;
  /** More, such as a stack. */
  readonly details: Payload | undefined;
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  /** Whether another attempt could help. */
  readonly retryable: boolean;
}

/** How a job ended. */
export type Outcome =
  | { readonly type: "result"; readonly payload: Payload }
  | { readonly type: "failure"; readonly failure: Failure }
  | { readonly type: "cancellation"; readonly reason: string; readonly forced: boolean };

/** The state by its name. */
export function readState(state: wire.JobState): JobState {
  const name = wire.JobState[state] as JobState | "UNSPECIFIED" | undefined;
  if (name === undefined || name === "UNSPECIFIED") {
    throw unreadable("a state");
  }
  return name;
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

/** The error of an answer that does not make sense here. */
export function unreadable(what: string): JobstreamError {
  const message = `the server sent ${what} that this client cannot read: use a client as new as the server`;
  return new JobstreamError(message, { code: "INTERNAL", reason: "UNREADABLE" });
}
