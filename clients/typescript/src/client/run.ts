// Submits a job and follows it to its end in one call, so that no retention is too short to see it. The rule is that of
// clients/README.md, "Submit and wait".

import type { CallOptions } from "@connectrpc/connect";

import { type Outcome, readOutcome, unreadable } from "../data/outcome.js";
import { durationOf, now } from "../data/span.js";
import { DeadlineExceeded, NotFinished } from "../errors.js";
import type { JobSpec } from "../gen/jobstream/v1/job_pb.js";
import { EventType } from "../gen/jobstream/v1/job_service_pb.js";
import { Backoff, isTransient } from "./backoff.js";
import type { Calls, JobStub } from "./calls.js";
import { span } from "./options.js";
import type { Scope } from "./scope.js";
import type { SubmitOptions } from "./submit.js";
import { Follower } from "./watch.js";

const HEARTBEAT = 15_000;

/** Everything may be left out. All spans are milliseconds. */
export interface RunJobOptions extends SubmitOptions {
  /** Longest time to wait for the job's end; the job goes on when it has passed. Default: as long as it takes. */
  readonly wait?: number | undefined;
}

/** How the job ended, once it has. */
export async function runToEnd(calls: Calls, spec: JobSpec, options: RunJobOptions): Promise<Outcome> {
  const wait = span("wait", options.wait, Infinity);
  const scope = calls.scope(options.signal);
  const runner = new Runner(calls, spec, scope);
  if (wait < Infinity) {
    scope.endIn(wait, () => runner.outOfTime(wait));
  }
  try {
    while ((await runner.next()) !== undefined) {
      // Only the end counts.
    }
  } finally {
    runner.drop();
    scope.close();
  }
  if (runner.outcome === undefined) {
    throw unreadable("an end");
  }
  return readOutcome(runner.outcome);
}

/** A watch whose first stream submits the job. */
class Runner extends Follower {
  #isSubmitted = false;
  #tried = 0;
  readonly #deadline: number;
  readonly #backoff: Backoff;

  constructor(
    calls: Calls,
    readonly spec: JobSpec,
    scope: Scope,
  ) {
    super(calls, spec.jobId, undefined, HEARTBEAT, scope, [EventType.STATE_CHANGE], 0);
    this.#deadline = now() + calls.settings.callTimeout;
    this.#backoff = new Backoff(calls.settings.tries);
  }

  outOfTime(wait: number): Error {
    if (this.#isSubmitted) {
      return new NotFinished(`job ${this.jobId} did not end within ${wait} ms: it goes on, wait for it again`);
    }
    const message = `the submit of job ${this.jobId} was not answered within ${wait} ms: run it again with the same jobId`;
    return new DeadlineExceeded(message, { code: "DEADLINE_EXCEEDED" });
  }

  protected override open(jobs: JobStub, options: CallOptions) {
    if (this.#isSubmitted) {
      return super.open(jobs, options);
    }
    this.#tried += 1;
    this.boot = this.calls.boots.present();
    const { spec: job, types } = this;
    return jobs.run({ job, types, heartbeat: durationOf("heartbeat", HEARTBEAT) }, options);
  }

  protected override openingMax(): number {
    return this.#isSubmitted ? super.openingMax() : Math.max(1, this.#deadline - now());
  }

  protected override bear(error: unknown): number {
    if (this.#isSubmitted) {
      return super.bear(error);
    }
    if (!isTransient(error)) {
      throw error;
    }
    const pause = this.#backoff.next(error.retryAfter);
    if (this.#tried >= this.calls.settings.tries.atMost || pause >= this.#deadline - now()) {
      throw error;
    }
    return pause;
  }

  protected override heard(): void {
    this.#isSubmitted = true;
    super.heard();
  }
}
