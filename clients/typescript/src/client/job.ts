// A handle on one job.

import { type JobState, type Outcome, readState } from "../data/outcome.js";
import type { Payload } from "../data/payload.js";
import { optionalDuration } from "../data/span.js";
import { JobCancelled, JobFailed, ResultMismatch } from "../errors.js";
import { type Boot, explain } from "./boots.js";
import type { Calls } from "./calls.js";
import type { JobEvent } from "./events.js";
import { type ResultOptions, awaitOutcome } from "./result.js";
import { type WatchOptions, watchJob } from "./watch.js";

export interface CancelOptions {
  /** For people; at most 1 KiB. Kept in the outcome. */
  readonly reason?: string | undefined;
  /** Milliseconds that a running handler may take to stop; 0 is at once, at most 1 h. Default 10 000. */
  readonly grace?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A job whose result is an `Out`. Nothing is kept here but its id: letting go of it changes nothing. */
export class Job<Out = unknown> {
  readonly #calls: Calls;
  readonly #boot: Boot | undefined;

  /** @internal */
  constructor(
    calls: Calls,
    /** UUID of the job. */
    readonly id: string,
    boot?: Boot,
  ) {
    this.#calls = calls;
    this.#boot = boot;
  }

  /**
   * Waits for the job's result, across lost connections: JSON decoded, plain text as a string, anything else as bytes.
   * It is not checked to be an `Out`.
   *
   * @throws JobFailed, JobCancelled, NotFinished, JobNotFound, ServerRestarted, ResultExpired; Unavailable after
   *   `patience` without a word of the server; ResultMismatch if the result is not what its content type says.
   */
  async result(options: ResultOptions = {}): Promise<Out> {
    return readResult(this.id, await this.payload(options)) as Out;
  }

  /** As [result], but the payload as it is, with its content type. */
  async payload(options: ResultOptions = {}): Promise<Payload> {
    return resultOf(this.id, await awaitOutcome(this.#calls, this.id, this.#boot, options));
  }

  /**
   * Follows the job: every event once, in order, from the start or after a sequence, across lost connections. It ends
   * after the event that ends the job.
   *
   * @throws JobNotFound, ServerRestarted, ResultExpired; Unavailable after `patience` without a word of the server.
   */
  watch(options: WatchOptions = {}): AsyncGenerator<JobEvent, void, undefined> {
    return watchJob(this.#calls, this.id, this.#boot, options);
  }

  /**
   * Where the job is now.
   *
   * @throws JobNotFound, ServerRestarted, ResultExpired, Unavailable, DeadlineExceeded.
   */
  async state(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<JobState> {
    const answer = this.#calls.call((jobs, given) => jobs.getResult({ jobId: this.id }, given), options.signal);
    return readState((await this.#explained(answer)).state);
  }

  /**
   * Ends the job: at once if it waits; a running handler is told to stop, and ended by force when the grace is over.
   * Answers CANCELLED, or RUNNING while the handler is stopping. Cancelling a cancelled job is fine.
   *
   * @throws IllegalState if it ended otherwise, and as [state].
   */
  async cancel(options: CancelOptions = {}): Promise<JobState> {
    const grace = optionalDuration("grace", options.grace);
    const request = { jobId: this.id, reason: options.reason ?? "", ...(grace && { grace }) };
    const answer = this.#calls.call((jobs, given) => jobs.cancel(request, given), options.signal);
    return readState((await this.#explained(answer)).state);
  }

  async #explained<A>(answer: Promise<A>): Promise<A> {
    try {
      return await answer;
    } catch (error) {
      throw explain(error, this.#boot);
    }
  }
}

/** The result of a job that ended with one. */
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

/** What the content type of a result says. */
export function readResult(jobId: string, payload: Payload): unknown {
  try {
    return payload.value();
  } catch (cause) {
    const message = `the result of job ${jobId} is no ${payload.contentType}: read its payload`;
    throw new ResultMismatch(message, { cause });
  }
}
