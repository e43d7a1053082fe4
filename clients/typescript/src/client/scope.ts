// Cancellation of one piece of work by several causes.

import { timerSpan } from "../data/span.js";

/** An abort signal that follows others and timers until it is closed. */
export class Scope {
  readonly #controller = new AbortController();
  readonly #undo: (() => void)[] = [];
  #timer: NodeJS.Timeout | number | undefined;

  /** `closed` is called when it is closed. */
  constructor(readonly closed?: () => void) {}

  /** Is to be given to what the scope can end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends with this signal, too. */
  follow(signal: AbortSignal | undefined): this {
    if (signal?.aborted) {
      this.abort(signal.reason);
    } else if (signal !== undefined) {
      const end = () => {
        this.abort(signal.reason);
      };
      signal.addEventListener("abort", end, { once: true });
      this.#undo.push(() => {
        signal.removeEventListener("abort", end);
      });
    }
    return this;
  }

  /** Ends after this long, unless it is called again before. There is one such timer. */
  endIn(span: number, reason: () => unknown): void {
    this.endNever();
    this.#timer = setTimeout(() => {
      this.abort(reason());
    }, timerSpan(span));
  }

  /** Takes the timer back. */
  endNever(): void {
    clearTimeout(this.#timer);
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** Lets go of signals and timer. */
  close(): void {
    this.endNever();
    this.closed?.();
    for (const undo of this.#undo.splice(0)) {
      undo();
    }
  }
}

/** Pauses; rejects with the signal's reason if it ends before. */
export function pause(span: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what `abort` was called with.
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", end);
      resolve();
    }, timerSpan(span));
    if (signal.aborted) {
      end();
    } else {
      signal.addEventListener("abort", end, { once: true });
    }
  });
}
