// The handle of a job.

import { type JobState, type Outcome, type WaitReason, readState } from "../data/outcome.js";
import type { Payload } from "../data/payload.js";
import { optionalDuration } from "../data/span.js";
import { JobCancelled, JobFailed, ResultMismatch } from "../errors.js";
import { type Boot, detectRestart } from "./boot_cache.js";
import type { Calls } from "./calls.js";
import type { JobEvent } from "./events.js";
import { type ResultOptions, awaitOutcome } from "./result.js";
import { type WatchOptions, watchJob } from "./watch.js";

export interface CancelOptions {
  /** Human-readable reason, at most 1 KiB. Stored in the outcome. */
  readonly reason?: string | undefined;
  /**
   * Time in milliseconds for a running handler to stop; 0 revokes its lease immediately; at most 1 h. Default 10 000.
   */
  readonly grace?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A handle of a job whose result is an `Out`. Dropping it does not change the job. */
export class Job<Out = unknown> {
  readonly #calls: Calls;
  readonly #boot: Boot | undefined;

  /** @internal */
  constructor(
    calls: Calls,
    /** The job id, a UUID. */
    readonly id: string,
    boot?: Boot,
    /**
     * Why the job waited when it was submitted: `NO_WORKER` if no connected worker served its kind in its queue,
     * `NOT_DUE`, `WORKERS_BUSY` and others. Undefined if it did not wait, and for a handle of an id.
     */
    readonly waitReason?: WaitReason,
  ) {
    this.#calls = calls;
    this.#boot = boot;
  }

  /**
   * Waits until the job ends and returns its result: JSON decoded, plain text as a string, anything else as bytes.
   * Reconnects if the connection breaks. The result is not validated against `Out`.
   *
   * @throws JobFailed, JobCancelled, NotFinished, JobNotFound, ServerRestarted, ResultExpired; Unavailable if the
   * server was unavailable for `patience`; ResultMismatch if the result does not match its content type.
   */
  async result(options: ResultOptions = {}): Promise<Out> {
    return readResult(this.id, await this.payload(options)) as Out;
  }

  /** Like [result], but returns the undecoded payload with its content type. */
  async payload(options: ResultOptions = {}): Promise<Payload> {
    return resultOf(this.id, await awaitOutcome(this.#calls, this.id, this.#boot, options));
  }

  /**
   * Watches the job: every event once, in order, from the start or after a sequence. Resumes after lost connections and
   * ends after the final event.
   *
   * @throws JobNotFound, ServerRestarted, ResultExpired; Unavailable if the server was unavailable for `patience`.
   */
  watch(options: WatchOptions = {}): AsyncGenerator<JobEvent, void, undefined> {
    return watchJob(this.#calls, this.id, this.#boot, options);
  }

  /**
   * The current state of the job.
   *
   * @throws JobNotFound, ServerRestarted, ResultExpired, Unavailable, DeadlineExceeded.
   */
  async state(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<JobState> {
    const response = this.#calls.call(({ jobs }, given) => jobs.getResult({ jobId: this.id }, given), options.signal);
    return readState((await this.#detectRestart(response)).state);
  }

  /**
   * Cancels the job. A job that waits ends immediately. The handler of a running job is asked to stop; its lease is
   * revoked after the grace time. Returns CANCELLED, or RUNNING while the handler is stopping. Cancelling a cancelled
   * job succeeds.
   *
   * @throws IllegalState if the job already succeeded or failed; otherwise like [state].
   */
  async cancel(options: CancelOptions = {}): Promise<JobState> {
    const grace = optionalDuration("grace", options.grace);
    const request = { jobId: this.id, reason: options.reason ?? "", ...(grace && { grace }) };
    const response = this.#calls.call(({ jobs }, given) => jobs.cancel(request, given), options.signal);
    return readState((await this.#detectRestart(response)).state);
  }

  async #detectRestart<A>(response: Promise<A>): Promise<A> {
    try {
      return await response;
    } catch (error) {
      throw detectRestart(error, this.#boot);
    }
  }
}

/** The result of an outcome. Throws JobFailed or JobCancelled. */
export function resultOf(jobId: string, outcome: Outcome): Payload {
  switch (outcome.type) {
    case "result":
      return outcome.payload;
    case "failure":
      throw new JobFailed(jobId, outcome.failure);
    case "cancellation":
      throw new JobCancelled(jobId, outcome.reason, outcome.forced);
  }
}

/** Decodes a result by its content type. */
export function readResult(jobId: string, payload: Payload): unknown {
  try {
    return payload.value();
  } catch (cause) {
    const message = `the result of job ${jobId} is not valid ${payload.contentType}: read its payload`;
    throw new ResultMismatch(message, { cause });
  }
}
