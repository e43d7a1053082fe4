// The whole job, as `Client.get` answers it.

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
import type * as wire from "../gen/jobstream/v1/job_pb.js";
import { type Progress, readProgress, readTime } from "./events.js";

/** A job at one moment. */
export interface JobView {
  readonly id: string;
  readonly kind: string;
  readonly queue: string;
  readonly priority: number;
  readonly payload: Payload;
  readonly labels: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly state: JobState;
  /** Why it is not running, while it waits. */
  readonly waitReason: WaitReason | undefined;
  /** The attempt that runs or ran last, from 1; 0 before the first. */
  readonly attempt: number;
  /** The newest progress of that attempt. */
  readonly progress: Progress | undefined;
  /** How it ended; set exactly when the state is final. */
  readonly outcome: Outcome | undefined;
  readonly cancelRequested: boolean;
  readonly createTime: Date | undefined;
  readonly startTime: Date | undefined;
  readonly finishTime: Date | undefined;
  readonly nextAttemptTime: Date | undefined;
  /** When the finished job will be removed. */
  readonly expireTime: Date | undefined;
  /** Sequence of its newest event: a watch can go on after it. */
  readonly sequence: number;
  /** The newest attempts, oldest first, at most 16. */
  readonly attempts: readonly AttemptView[];
}

/** One try at a job. */
export interface AttemptView {
  readonly attempt: number;
  readonly startTime: Date | undefined;
  readonly finishTime: Date | undefined;
  /** Why it failed, if it did. */
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
