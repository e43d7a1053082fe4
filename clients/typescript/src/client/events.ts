// What a watch tells.

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

/** News of a job. Tell them apart by `type`. */
export type JobEvent = StateEvent | ProgressEvent | OutputEvent | LogEvent | GapEvent;

interface Numbered {
  /** Number of the event in its job, from 1. */
  readonly sequence: number;
  /** When it happened, by the server's clock. */
  readonly time: Date | undefined;
  /** The attempt it belongs to; 0 before the first. */
  readonly attempt: number;
}

/** The job moved to another state, or a cancel was requested. */
export interface StateEvent extends Numbered {
  readonly type: "state";
  readonly state: JobState;
  readonly waitReason: WaitReason | undefined;
  /** Why the attempt just ended failed, if it did and the job goes on. */
  readonly failure: Failure | undefined;
  /** When the next attempt may start, if SCHEDULED. */
  readonly nextAttemptTime: Date | undefined;
  /** How the job ended; set exactly when the state is final. */
  readonly outcome: Outcome | undefined;
  readonly cancelRequested: boolean;
}

/** How far an attempt is. Only the newest is kept. */
export interface Progress {
  /** Share done, 0 to 1. */
  readonly fraction: number | undefined;
  readonly done: number | undefined;
  readonly total: number | undefined;
  /** What is counted: `files`. */
  readonly unit: string;
  /** For people. */
  readonly message: string;
}

export interface ProgressEvent extends Numbered, Progress {
  readonly type: "progress";
}

/** A chunk of output. After a RUNNING event of a later attempt, the chunks of earlier attempts are void. */
export interface OutputEvent extends Numbered {
  readonly type: "output";
  readonly payload: Payload;
  /** Which of several outputs; empty if there is one. */
  readonly channel: string;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** A line that the handler wrote. */
export interface LogEvent extends Numbered {
  readonly type: "log";
  /** Undefined if the writer gave none, as a program's output has none. */
  readonly level: LogLevel | undefined;
  readonly text: string;
  /** Where it came from; undefined if that is not known. */
  readonly stream: "stdout" | "stderr" | "log" | undefined;
}

/** Output, logs and superseded progress that are no longer kept: all sequences from the first to the last. */
export interface GapEvent {
  readonly type: "gap";
  readonly from: number;
  readonly to: number;
}

/** Undefined if it is of a type that is not known here. */
export function readEvent(event: wire.JobEvent): JobEvent | undefined {
  const numbered = { sequence: event.sequence, time: readTime(event.time), attempt: event.attempt };
  const { event: told } = event;
  switch (told.case) {
    case "stateChange":
      return { type: "state", ...numbered, ...readStateChange(told.value) };
    case "progress":
      return { type: "progress", ...numbered, ...readProgress(told.value) };
    case "output": {
      const { payload, channel } = told.value;
      return { type: "output", ...numbered, payload: Payload.read(payload), channel };
    }
    case "log":
      return { type: "log", ...numbered, ...readLog(told.value) };
    case undefined:
      return undefined;
  }
}

/** Without what was told before. */
export function readGap({ from, to }: WireGap, last: number): GapEvent {
  return { type: "gap", from: Math.max(from, last + 1), to };
}

export function readProgress({ fraction, done, total, unit, message }: wire.Progress): Progress {
  return { fraction, done, total, unit, message };
}

export function readTime(time: wire.JobEvent["time"]): Date | undefined {
  return time && timestampDate(time);
}

function readStateChange(change: wire.StateChange) {
  return {
    state: readState(change.state),
    waitReason: readWaitReason(change.waitReason),
    failure: change.failure && readFailure(change.failure),
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

/** The level on the wire. */
export function writeLevel(level: LogLevel): wire.LogLevel {
  const levels = { debug: wire.LogLevel.DEBUG, info: wire.LogLevel.INFO, warn: wire.LogLevel.WARN };
  return level === "error" ? wire.LogLevel.ERROR : levels[level];
}
