// Submits a job and waits for its outcome in one call. The outcome is received even if the retention is 0.
// clients/README.md, "Submit and wait", has the rule.

import type { CallOptions } from "@connectrpc/connect";

import { type Outcome, readOutcome, unreadable } from "../data/outcome.js";
import type { Payload } from "../data/payload.js";
import { durationOf, now } from "../data/span.js";
import { DeadlineExceeded, NotFinished } from "../errors.js";
import type { JobSpec } from "../gen/jobstream/v1/job_pb.js";
import { EventType } from "../gen/jobstream/v1/job_service_pb.js";
import { Backoff, isTransient } from "./backoff.js";
import type { Calls } from "./calls.js";
import { type SubmitInterceptor, intercept } from "./interceptors.js";
import { resultOf } from "./job.js";
import { span } from "./options.js";
import { awaitOutcome } from "./result.js";
import type { Scope } from "./scope.js";
import type { Stubs } from "./stubs.js";
import type { SubmitOptions } from "./submit.js";
import { Watcher } from "./watch.js";

const HEARTBEAT = 15_000;

/** Options of a run. All are optional. Durations are in milliseconds. */
export interface RunJobOptions extends SubmitOptions {
  /** Longest wait for the outcome. The job continues after it has passed. Default: unlimited. */
  readonly wait?: number | undefined;
}

/** Submits the job through the interceptors, waits for its outcome and returns its result. */
export async function runJob(
  calls: Calls,
  interceptors: readonly SubmitInterceptor[],
  spec: JobSpec,
  options: RunJobOptions,
): Promise<{ jobId: string; payload: Payload }> {
  const scope = calls.scope(options.signal);
  let outcome: Promise<Outcome> | undefined;
  try {
    const { jobId } = await intercept(interceptors, spec, async (job) => {
      await new Promise<void>((resolve, reject) => {
        outcome = runToEnd(calls, job, options, scope, resolve);
        outcome.catch(reject);
      });
      return { jobId: job.jobId, waitReason: undefined };
    });
    // An interceptor that did not call `next` has returned the id of another job.
    const ended = outcome ?? awaitOutcome(calls, jobId, undefined, { timeout: options.wait, signal: options.signal });
    return { jobId, payload: resultOf(jobId, await ended) };
  } finally {
    // Ends the stream if an interceptor has failed after the submit.
    scope.abort(undefined);
    scope.close();
  }
}

/** Submits the job and waits for its outcome. Calls `onSubmitted` once the server has accepted it. */
async function runToEnd(
  calls: Calls,
  spec: JobSpec,
  options: RunJobOptions,
  scope: Scope,
  onSubmitted: () => void,
): Promise<Outcome> {
  const wait = span("wait", options.wait, Infinity);
  const run = new RunCall(calls, spec, scope, onSubmitted);
  if (wait < Infinity) {
    scope.abortAfter(wait, () => run.waitTimedOut(wait));
  }
  try {
    while ((await run.next()) !== undefined) {
      // Only the outcome matters.
    }
  } finally {
    run.drop();
  }
  if (run.outcome === undefined) {
    throw unreadable("an end");
  }
  return readOutcome(run.outcome);
}

/** A watch whose first stream submits the job. */
class RunCall extends Watcher {
  #isSubmitted = false;
  #attempts = 0;
  readonly #deadline: number;
  readonly #backoff: Backoff;

  constructor(
    calls: Calls,
    readonly spec: JobSpec,
    scope: Scope,
    readonly onSubmitted: () => void,
  ) {
    super(calls, spec.jobId, undefined, HEARTBEAT, scope, [EventType.STATE_CHANGE], 0);
    this.#deadline = now() + calls.settings.callTimeout;
    this.#backoff = new Backoff(calls.settings.tries);
  }

  waitTimedOut(wait: number): Error {
    if (this.#isSubmitted) {
      return new NotFinished(`job ${this.jobId} did not end within ${wait} ms: it continues`);
    }
    const message = `no response to the submit of job ${this.jobId} within ${wait} ms: run it again with the same jobId`;
    return new DeadlineExceeded(message, { code: "DEADLINE_EXCEEDED" });
  }

  protected override open(stubs: Stubs, options: CallOptions) {
    if (this.#isSubmitted) {
      return super.open(stubs, options);
    }
    this.#attempts += 1;
    this.boot = this.calls.boots.current();
    const { spec: job, types } = this;
    return stubs.jobs.run({ job, types, heartbeat: durationOf("heartbeat", HEARTBEAT) }, options);
  }

  protected override openTimeout(): number {
    return this.#isSubmitted ? super.openTimeout() : Math.max(1, this.#deadline - now());
  }

  protected override retryDelay(error: unknown): number {
    if (this.#isSubmitted) {
      return super.retryDelay(error);
    }
    if (!isTransient(error)) {
      throw error;
    }
    const pause = this.#backoff.next(error.retryAfter);
    if (this.#attempts >= this.calls.settings.tries.maxAttempts || pause >= this.#deadline - now()) {
      throw error;
    }
    return pause;
  }

  protected override received(): void {
    this.#isSubmitted = true;
    this.onSubmitted();
    super.received();
  }
}
