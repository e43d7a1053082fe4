// Room for what is on its way to the server.

interface Waiter {
  readonly bytes: number;
  readonly enter: () => void;
}

/** Bytes that are free, handed out in the order in which they were asked for. */
export class Room {
  #free: number;
  readonly #waiters = new Set<Waiter>();

  constructor(readonly size: number) {
    this.#free = size;
  }

  get free(): number {
    return this.#free;
  }

  /** Takes room if there is any. Answers how much it took, which is to be given back. */
  tryTake(bytes: number): number | undefined {
    const taken = Math.min(bytes, this.size);
    if (taken > this.#free || this.#waiters.size > 0) {
      return undefined;
    }
    this.#free -= taken;
    return taken;
  }

  /** Takes room once there is some. Rejects with the signal's reason if that ends before. */
  async take(bytes: number, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const taken = this.tryTake(bytes);
    if (taken !== undefined) {
      return taken;
    }
    return this.#wait(Math.min(bytes, this.size), signal);
  }

  /** Gives room back. */
  give(bytes: number): void {
    this.#free += bytes;
    this.#admit();
  }

  #wait(bytes: number, signal: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter);
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what `abort` was called with.
        reject(signal.reason);
        this.#admit();
      };
      const enter = () => {
        signal.removeEventListener("abort", leave);
        resolve(bytes);
      };
      const waiter = { bytes, enter };
      this.#waiters.add(waiter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  #admit(): void {
    for (const waiter of this.#waiters) {
      if (waiter.bytes > this.#free) {
        return;
      }
      this.#free -= waiter.bytes;
      this.#waiters.delete(waiter);
      waiter.enter();
    }
  }
}
