// The job that `Client.get` returns.

import {
  type Failure,
  type JobState,
  type Outcome,
  type WaitReason,
  readFailure,
  readOutcome,
  readState,
  readWaitReason,
  unreadable,
} from "../data/outcome.js";
import { Payload } from "../data/payload.js";
import { type TraceContext, readTraceContext } from "../data/trace_context.js";
import type * as wire from "../gen/jobstream/v1/job_pb.js";
import { type Progress, readProgress, readTime } from "./events.js";

/** A snapshot of a job. */
export interface JobView {
  readonly id: string;
  readonly kind: string;
  readonly queue: string;
  readonly priority: number;
  readonly payload: Payload;
  readonly labels: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly traceContext: TraceContext | undefined;
  readonly state: JobState;
  /** Why a waiting job is not running. */
  readonly waitReason: WaitReason | undefined;
  /** Number of the current or last attempt, from 1; 0 before the first. */
  readonly attempt: number;
  /** The newest progress of that attempt. */
  readonly progress: Progress | undefined;
  /** The outcome; set exactly if the state is final. */
  readonly outcome: Outcome | undefined;
  readonly cancelRequested: boolean;
  readonly createTime: Date | undefined;
  readonly startTime: Date | undefined;
  readonly finishTime: Date | undefined;
  readonly nextAttemptTime: Date | undefined;
  /** When the finished job is removed. */
  readonly expireTime: Date | undefined;
  /** Sequence of the newest event. A watch can resume after it. */
  readonly sequence: number;
  /** The newest attempts, oldest first, at most 16. */
  readonly attempts: readonly AttemptView[];
}

/** An attempt of a job. */
export interface AttemptView {
  readonly attempt: number;
  readonly startTime: Date | undefined;
  readonly finishTime: Date | undefined;
  /** The failure of the attempt, if it failed. */
  readonly failure: Failure | undefined;
  /** Name of the worker that ran it. */
  readonly worker: string;
}

export function readJob(job: wire.Job | undefined): JobView {
  if (job?.spec === undefined) {
    throw unreadable("a job");
  }
  const { spec } = job;
  return {
    id: job.jobId,
    kind: spec.kind,
    queue: spec.queue,
    priority: spec.priority,
    payload: Payload.read(spec.payload),
    labels: spec.labels,
    headers: spec.headers,
    traceContext: readTraceContext(spec.traceContext),
    state: readState(job.state),
    waitReason: readWaitReason(job.waitReason),
    attempt: job.attempt,
    progress: job.progress && readProgress(job.progress),
    outcome: job.outcome && readOutcome(job.outcome),
    cancelRequested: job.cancelRequested,
    createTime: readTime(job.createTime),
    startTime: readTime(job.startTime),
    finishTime: readTime(job.finishTime),
    nextAttemptTime: readTime(job.nextAttemptTime),
    expireTime: readTime(job.expireTime),
    sequence: job.sequence,
    attempts: job.attempts.map(readAttempt),
  };
}

function readAttempt({ attempt, startTime, finishTime, failure, worker }: wire.Attempt): AttemptView {
  return {
    attempt,
    startTime: readTime(startTime),
    finishTime: readTime(finishTime),
    failure: failure && readFailure(failure),
    worker,
  };
}
