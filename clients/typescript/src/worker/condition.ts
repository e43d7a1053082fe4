// Waiting for something to become true.

/** Wakes who waits, whenever it is rung. */
export class Bell {
  #ring!: () => void;
  #rung!: Promise<void>;

  constructor() {
    this.#reset();
  }

  ring(): void {
    this.#ring();
    this.#reset();
  }

  /** Returns at the next ring. */
  next(): Promise<void> {
    return this.#rung;
  }

  /** Returns once the condition holds; it is looked at now and after each ring. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await this.next();
    }
  }

  #reset(): void {
    this.#rung = new Promise((resolve) => {
      this.#ring = resolve;
    });
  }
}
