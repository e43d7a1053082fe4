// A fair semaphore that counts bytes.

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
}

/** Grants bytes in the order of the requests. */
export class ByteSemaphore {
  #free: number;
  readonly #waiters = new Set<Waiter>();

  constructor(readonly size: number) {
    this.#free = size;
  }

  get free(): number {
    return this.#free;
  }

  /** Acquires bytes without waiting; undefined if there are not enough. Returns the number of bytes to release. */
  tryAcquire(bytes: number): number | undefined {
    const acquired = Math.min(bytes, this.size);
    if (acquired > this.#free || this.#waiters.size > 0) {
      return undefined;
    }
    this.#free -= acquired;
    return acquired;
  }

  /** Acquires bytes. Waits until there are enough. Rejects with the signal's reason if it is aborted before. */
  async acquire(bytes: number, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const acquired = this.tryAcquire(bytes);
    if (acquired !== undefined) {
      return acquired;
    }
    return this.#wait(Math.min(bytes, this.size), signal);
  }

  /** Releases bytes. */
  release(bytes: number): void {
    this.#free += bytes;
    this.#admit();
  }

  #wait(bytes: number, signal: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiters.delete(waiter);
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the argument of `abort`.
        reject(signal.reason);
        this.#admit();
      };
      const admit = () => {
        signal.removeEventListener("abort", onAbort);
        resolve(bytes);
      };
      const waiter = { bytes, admit };
      this.#waiters.add(waiter);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  #admit(): void {
    for (const waiter of this.#waiters) {
      if (waiter.bytes > this.#free) {
        return;
      }
      this.#free -= waiter.bytes;
      this.#waiters.delete(waiter);
      waiter.admit();
    }
  }
}
