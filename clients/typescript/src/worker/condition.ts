// A condition variable for promises.

/** Wakes its waiters at each notification. */
export class Condition {
  #resolve!: () => void;
  #notified!: Promise<void>;

  constructor() {
    this.#reset();
  }

  notify(): void {
    this.#resolve();
    this.#reset();
  }

  /** Resolves at the next notification. */
  notified(): Promise<void> {
    return this.#notified;
  }

  /** Resolves once the condition holds. It is checked immediately and after each notification. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await this.notified();
    }
  }

  #reset(): void {
    this.#notified = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
}
