// Cancellation scopes: an abort signal with several causes.

import { timerSpan } from "../data/span.js";

/** An abort signal that follows other signals and a timer until it is closed. */
export class Scope {
  readonly #controller = new AbortController();
  readonly #undo: (() => void)[] = [];
  #timer: NodeJS.Timeout | number | undefined;

  /** `closed` is called when the scope is closed. */
  constructor(readonly closed?: () => void) {}

  /** The signal for the work in this scope. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Aborts the scope when this signal is aborted. */
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

  /** Aborts the scope after this time. Each call restarts the one timer. */
  abortAfter(span: number, reason: () => unknown): void {
    this.clearTimer();
    this.#timer = setTimeout(() => {
      this.abort(reason());
    }, timerSpan(span));
  }

  /** Stops the timer. */
  clearTimer(): void {
    clearTimeout(this.#timer);
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** Removes the listeners and the timer. */
  close(): void {
    this.clearTimer();
    this.closed?.();
    for (const undo of this.#undo.splice(0)) {
      undo();
    }
  }
}

/** Sleeps. Rejects with the signal's reason if it is aborted before. */
export function pause(span: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the argument of `abort`.
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
