// Pauses between tries, and how long a watch or a wait bears a server that is away.

import { now } from "../data/span.js";
import { DeadlineExceeded, ResourceExhausted, Unavailable } from "../errors.js";
import type { Tries } from "./options.js";

/** Whether another try could help: the server is away, or full for a while. */
export function isTransient(error: unknown): error is Unavailable | ResourceExhausted {
  return error instanceof Unavailable || (error instanceof ResourceExhausted && error.retryAfter !== undefined);
}

/** The pauses of one series of tries. */
export class Backoff {
  #longest: number;

  constructor(readonly tries: Pick<Tries, "firstPause" | "longestPause">) {
    this.#longest = Math.min(tries.firstPause, tries.longestPause);
  }

  /** The next pause: a random part, so that clients which lost the same server do not come back together. */
  next(asked = 0): number {
    const pause = this.#longest * Math.random();
    this.#longest = Math.min(this.#longest * 2, this.tries.longestPause);
    return pause + asked;
  }
}

/** How long a watch or a wait has been without a word of the server, and how long it may be. */
export class Endurance {
  #backoff: Backoff;
  #lostSince: number | undefined;

  constructor(
    readonly tries: Tries,
    readonly patience: number,
  ) {
    this.#backoff = new Backoff(tries);
  }

  /** The server spoke. */
  renew(): void {
    if (this.#lostSince !== undefined) {
      this.#lostSince = undefined;
      this.#backoff = new Backoff(this.tries);
    }
  }

  /**
   * The pause before the next try.
   *
   * @throws the same error if trying again does not help, or has not for as long as patience lasts.
   */
  bear(error: unknown): number {
    if (!isTransient(error) && !(error instanceof DeadlineExceeded)) {
      throw error;
    }
    this.#lostSince ??= now();
    const lostFor = now() - this.#lostSince;
    const pause = this.#backoff.next(error.retryAfter);
    if (lostFor + pause > this.patience) {
      const text = `${error.message}; given up after ${Math.round(lostFor)} ms without a word of the server`;
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
