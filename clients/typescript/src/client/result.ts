// Waits for the end of a job with long polls, across lost connections.

import { type Outcome, readOutcome } from "../data/outcome.js";
import { durationOf, now } from "../data/span.js";
import { DeadlineExceeded, NotFinished } from "../errors.js";
import { Endurance } from "./backoff.js";
import { type Boot, explain } from "./boots.js";
import type { Calls } from "./calls.js";
import { span } from "./options.js";
import { type Scope, pause } from "./scope.js";

/** A server that answers a poll early, because it has too many waiters, is not asked again before this. */
const POLL_AGAIN = 250;

export interface ResultOptions {
  /**
   * Milliseconds to wait at most; 0 asks once. The job goes on when they have passed. Default: as long as it takes.
   */
  readonly timeout?: number | undefined;
  /** Ends the waiting; the job goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** How the job ended, once it has. */
export async function awaitOutcome(calls: Calls, jobId: string, boot: Boot | undefined, options: ResultOptions) {
  const timeout = span("timeout", options.timeout, Infinity);
  const scope = calls.scope(options.signal);
  const outOfTime = () =>
    new NotFinished(`job ${jobId} did not end within ${timeout} ms: it goes on, wait for it again`);
  if (timeout > 0 && timeout < Infinity) {
    scope.endIn(timeout, outOfTime);
  }
  try {
    const outcome = await new Wait(calls, jobId, boot, scope, now() + timeout).outcome();
    if (outcome === undefined) {
      throw outOfTime();
    }
    return outcome;
  } finally {
    scope.close();
  }
}

class Wait {
  readonly #endurance: Endurance;

  constructor(
    readonly calls: Calls,
    readonly jobId: string,
    readonly boot: Boot | undefined,
    readonly scope: Scope,
    readonly deadline: number,
  ) {
    this.#endurance = new Endurance(calls.settings.tries, calls.settings.patience);
  }

  /** Undefined if the time passed. */
  async outcome(): Promise<Outcome | undefined> {
    for (;;) {
      const asked = now();
      try {
        const outcome = await this.#poll(Math.min(this.calls.settings.longPoll, Math.max(0, this.deadline - asked)));
        if (outcome !== undefined || now() >= this.deadline) {
          return outcome;
        }
        this.#endurance.renew();
        await pause(asked + POLL_AGAIN - now(), this.scope.signal);
      } catch (error) {
        this.scope.signal.throwIfAborted();
        const span = this.#endurance.bear(explain(error, this.boot));
        await pause(span, this.scope.signal);
      }
    }
  }

  /** How the job ended, if it does while the server holds the call. */
  async #poll(wait: number): Promise<Outcome | undefined> {
    const link = this.calls.connection.forHeldCall();
    const request = { jobId: this.jobId, wait: durationOf("wait", Math.floor(wait)) };
    const deadline = now() + wait + this.calls.settings.callTimeout;
    try {
      const send = this.calls.once(link, deadline, (jobs, given) => jobs.getResult(request, given), this.scope.signal);
      const { outcome } = await send;
      return outcome && readOutcome(outcome);
    } catch (error) {
      if (error instanceof DeadlineExceeded) {
        // The server answers a poll long before: nothing comes over this connection.
        link.giveUp();
      }
      throw error;
    } finally {
      link.release();
    }
  }
}
