// Waits for the outcome of a job with long polls. Reconnects after lost connections.

import { type Outcome, readOutcome } from "../data/outcome.js";
import { durationOf, now } from "../data/span.js";
import { DeadlineExceeded, NotFinished } from "../errors.js";
import { ReconnectBackoff } from "./backoff.js";
import { type Boot, detectRestart } from "./boot_cache.js";
import type { Calls } from "./calls.js";
import { span } from "./options.js";
import { type Scope, pause } from "./scope.js";

/** Shortest time between two polls in milliseconds. A server with too many waiters responds early. */
const POLL_AGAIN = 250;

export interface ResultOptions {
  /** Longest wait in milliseconds; 0 polls once. The job continues after it has passed. Default: unlimited. */
  readonly timeout?: number | undefined;
  /** Ends the wait. The job continues. */
  readonly signal?: AbortSignal | undefined;
}

/** Waits for the outcome of the job. */
export async function awaitOutcome(calls: Calls, jobId: string, boot: Boot | undefined, options: ResultOptions) {
  const timeout = span("timeout", options.timeout, Infinity);
  const scope = calls.scope(options.signal);
  const waitTimedOut = () => new NotFinished(`job ${jobId} did not end within ${timeout} ms: it continues`);
  if (timeout > 0 && timeout < Infinity) {
    scope.abortAfter(timeout, waitTimedOut);
  }
  try {
    const outcome = await new Wait(calls, jobId, boot, scope, now() + timeout).outcome();
    if (outcome === undefined) {
      throw waitTimedOut();
    }
    return outcome;
  } finally {
    scope.close();
  }
}

class Wait {
  readonly #reconnect: ReconnectBackoff;

  constructor(
    readonly calls: Calls,
    readonly jobId: string,
    readonly boot: Boot | undefined,
    readonly scope: Scope,
    readonly deadline: number,
  ) {
    this.#reconnect = new ReconnectBackoff(calls.settings.tries, calls.settings.patience);
  }

  /** The outcome; undefined after the timeout. */
  async outcome(): Promise<Outcome | undefined> {
    for (;;) {
      const startedAt = now();
      try {
        const outcome = await this.#poll(
          Math.min(this.calls.settings.longPoll, Math.max(0, this.deadline - startedAt)),
        );
        if (outcome !== undefined || now() >= this.deadline) {
          return outcome;
        }
        this.#reconnect.reset();
        await pause(startedAt + POLL_AGAIN - now(), this.scope.signal);
      } catch (error) {
        this.scope.signal.throwIfAborted();
        const span = this.#reconnect.nextDelay(detectRestart(error, this.boot));
        await pause(span, this.scope.signal);
      }
    }
  }

  /** One long poll. Returns the outcome, or undefined if the job has not ended. */
  async #poll(wait: number): Promise<Outcome | undefined> {
    const link = this.calls.connection.forLongCall();
    const request = { jobId: this.jobId, wait: durationOf("wait", Math.floor(wait)) };
    const deadline = now() + wait + this.calls.settings.callTimeout;
    try {
      const send = this.calls.once(
        link,
        deadline,
        ({ jobs }, given) => jobs.getResult(request, given),
        this.scope.signal,
      );
      const { outcome } = await send;
      return outcome && readOutcome(outcome);
    } catch (error) {
      if (error instanceof DeadlineExceeded) {
        // The server responds to a poll before this deadline, so the connection is broken.
        link.replace();
      }
      throw error;
    } finally {
      link.release();
    }
  }
}
