// Back-off and retry limits.

import { now } from "../data/span.js";
import { DeadlineExceeded, ResourceExhausted, Unavailable } from "../errors.js";
import type { Tries } from "./options.js";
import { isPermanentTlsFailure } from "./tls_errors.js";

/** Whether a retry may succeed: the server is unavailable, or overloaded and requests a retry. */
export function isTransient(error: unknown): error is Unavailable | ResourceExhausted {
  if (error instanceof Unavailable) {
    return !isPermanentTlsFailure(error.reason);
  }
  return error instanceof ResourceExhausted && error.retryAfter !== undefined;
}

/** Exponential back-off with full jitter. */
export class Backoff {
  #longest: number;

  constructor(readonly tries: Pick<Tries, "firstPause" | "longestPause">) {
    this.#longest = Math.min(tries.firstPause, tries.longestPause);
  }

  /**
   * The next delay: a random part of the current back-off, plus the delay requested by the server. The jitter keeps
   * clients that lost the same server from reconnecting at the same time.
   */
  next(requested = 0): number {
    const pause = this.#longest * Math.random();
    this.#longest = Math.min(this.#longest * 2, this.tries.longestPause);
    return pause + requested;
  }
}

/** Back-off of a watch or a long poll. Gives up after `patience` milliseconds without a response. */
export class ReconnectBackoff {
  #backoff: Backoff;
  #failingSince: number | undefined;

  constructor(
    readonly tries: Tries,
    readonly patience: number,
  ) {
    this.#backoff = new Backoff(tries);
  }

  /** Records a response from the server and resets the back-off. */
  reset(): void {
    if (this.#failingSince !== undefined) {
      this.#failingSince = undefined;
      this.#backoff = new Backoff(this.tries);
    }
  }

  /**
   * The delay before the next connection.
   *
   * @throws the error if it is not transient, or Unavailable if `patience` has passed.
   */
  nextDelay(error: unknown): number {
    if (!isTransient(error) && !(error instanceof DeadlineExceeded)) {
      throw error;
    }
    this.#failingSince ??= now();
    const failingFor = now() - this.#failingSince;
    const pause = this.#backoff.next(error.retryAfter);
    if (failingFor + pause > this.patience) {
      const text = `${error.message}; gave up after ${Math.round(failingFor)} ms without a response`;
      throw new Unavailable(text, {
        code: "UNAVAILABLE",
        reason: error.reason,
        retryAfter: error.retryAfter,
        cause: error,
      });
    }
    return pause;
  }
}
