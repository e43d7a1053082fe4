// The events of a watch.

import { timestampDate } from "@bufbuild/protobuf/wkt";

import {
  type Failure,
  type JobState,
  type Outcome,
  type WaitReason,
  readFailure,
  readOutcome,
  readState,
  readWaitReason,
} from "../data/outcome.js";
import { Payload } from "../data/payload.js";
import * as wire from "../gen/jobstream/v1/job_pb.js";
import type { Gap as WireGap } from "../gen/jobstream/v1/job_service_pb.js";

/** An event of a job. `type` selects the variant. */
export type JobEvent = StateEvent | ProgressEvent | OutputEvent | LogEvent | GapEvent;

interface EventHeader {
  /** Sequence number of the event in its job, from 1. */
  readonly sequence: number;
  /** Time of the event by the server's clock. */
  readonly time: Date | undefined;
  /** The attempt that produced the event; 0 before the first. */
  readonly attempt: number;
}

/** The job changed its state, or a cancellation was requested. */
export interface StateEvent extends EventHeader {
  readonly type: "state";
  readonly state: JobState;
  readonly waitReason: WaitReason | undefined;
  /** The failure of the attempt that ended, also of the last attempt; undefined if it did not fail. */
  readonly failure: Failure | undefined;
  /** Earliest start of the next attempt, if SCHEDULED. */
  readonly nextAttemptTime: Date | undefined;
  /** The outcome; set exactly if the state is final. */
  readonly outcome: Outcome | undefined;
  readonly cancelRequested: boolean;
}

/** Progress of an attempt. The server retains only the newest. */
export interface Progress {
  /** Completed fraction, 0 to 1; undefined if the handler reported none. */
  readonly fraction: number | undefined;
  readonly done: number | undefined;
  readonly total: number | undefined;
  /** Unit of `done` and `total`, such as `files`. */
  readonly unit: string;
  /** Human-readable text. */
  readonly message: string;
}

export interface ProgressEvent extends EventHeader, Progress {
  readonly type: "progress";
}

/** A chunk of output. A RUNNING event of a later attempt invalidates the output of earlier attempts. */
export interface OutputEvent extends EventHeader {
  readonly type: "output";
  readonly payload: Payload;
  /** Name of the output channel; empty by default. */
  readonly channel: string;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** A log line of the handler. */
export interface LogEvent extends EventHeader {
  readonly type: "log";
  /** Undefined if unspecified, for example for the output of a program. */
  readonly level: LogLevel | undefined;
  readonly text: string;
  /** Source of the line; undefined if unknown. */
  readonly stream: "stdout" | "stderr" | "log" | undefined;
}

/** Events that are no longer retained, from the first to the last sequence. */
export interface GapEvent {
  readonly type: "gap";
  readonly first: number;
  readonly last: number;
}

/** Decodes an event. Returns undefined for an event type that this client does not know. */
export function readEvent(event: wire.JobEvent): JobEvent | undefined {
  const header = { sequence: event.sequence, time: readTime(event.time), attempt: event.attempt };
  const { event: body } = event;
  switch (body.case) {
    case "stateChange":
      return { type: "state", ...header, ...readStateChange(body.value) };
    case "progress":
      return { type: "progress", ...header, ...readProgress(body.value) };
    case "output": {
      const { payload, channel } = body.value;
      return { type: "output", ...header, payload: Payload.read(payload), channel };
    }
    case "log":
      return { type: "log", ...header, ...readLog(body.value) };
    case undefined:
      return undefined;
  }
}

/** Decodes a gap without the sequences that were delivered before. */
export function readGap({ first, last }: WireGap, after: number): GapEvent {
  return { type: "gap", first: Math.max(first, after + 1), last };
}

export function readProgress({ fraction, done, total, unit, message }: wire.Progress): Progress {
  return { fraction, done, total, unit, message };
}

export function readTime(time: wire.JobEvent["time"]): Date | undefined {
  return time && timestampDate(time);
}

function readStateChange(change: wire.StateChange) {
  const end = change.outcome?.end;
  const failure = change.failure ?? (end?.case === "failure" ? end.value : undefined);
  return {
    state: readState(change.state),
    waitReason: readWaitReason(change.waitReason),
    failure: failure && readFailure(failure),
    nextAttemptTime: readTime(change.nextAttemptTime),
    outcome: change.outcome && readOutcome(change.outcome),
    cancelRequested: change.cancelRequested,
  };
}

const LEVELS = [undefined, "debug", "info", "warn", "error"] as const;
const STREAMS = [undefined, "stdout", "stderr", "log"] as const;

function readLog({ level, text, stream }: wire.Log) {
  return { level: LEVELS[level], text, stream: STREAMS[stream] };
}

/** Encodes a log level. */
export function writeLevel(level: LogLevel): wire.LogLevel {
  const levels = { debug: wire.LogLevel.DEBUG, info: wire.LogLevel.INFO, warn: wire.LogLevel.WARN };
  return level === "error" ? wire.LogLevel.ERROR : levels[level];
}
