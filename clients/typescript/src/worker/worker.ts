// A worker: handlers by kind, run for the jobs of a server.

import { IllegalState, InvalidRequest } from "../errors.js";
import { span } from "../client/options.js";
import { type Client, connectionOf } from "../node/client.js";
import type { Duty, Handler, HandlerOptions } from "./handler.js";
import { Life } from "./life.js";
import { type WorkerOptions, readWorkerOptions } from "./options.js";
import { onSignals } from "./signals.js";

export interface RunOptions {
  /** SIGTERM and SIGINT drain the worker, a second one stops it. Default true. */
  readonly signals?: boolean | undefined;
  /** Drains the worker when it ends. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs the jobs of a server, whatever becomes of the connection: when it breaks, the worker connects again and keeps its
 * attempts; when that takes longer than their leases last, they are told to stop, because the server gives their jobs to
 * others.
 *
 * ```ts
 * const worker = new Worker(client, { slots: 4 });
 * worker.handle("resize", async (input: { width: number }, context) => {
 *   context.progress(0.5, "decoding");
 *   return { url: await resize(input.width, context.signal) };
 * });
 * await worker.run();
 * ```
 */
export class Worker implements AsyncDisposable {
  readonly #duties = new Map<string, Duty>();
  readonly #settings: ReturnType<typeof readWorkerOptions>;
  #life: Life | undefined;
  #ended: Promise<void> | undefined;
  #isDraining = false;

  /** @throws InvalidRequest if an option is none. */
  constructor(
    readonly client: Client,
    readonly options: WorkerOptions = {},
  ) {
    this.#settings = readWorkerOptions(options);
  }

  /**
   * Adds the handler of a kind. Its input comes as a payload says: JSON decoded, plain text as a string, anything else as
   * bytes; `input` parses it further. What it answers is the result. What it throws fails the attempt, retryable unless
   * it is a PermanentError.
   *
   * @throws IllegalState if the kind has one, or the worker runs.
   */
  handle<Out>(kind: string, handler: Handler<unknown, Out>): this;
  handle<In, Out>(kind: string, handler: Handler<In, Out>): this;
  handle<In, Out>(kind: string, options: HandlerOptions<In>, handler: Handler<In, Out>): this;
  handle(kind: string, first: Handler<never> | HandlerOptions<unknown>, second?: Handler<never>): this {
    const handler = second ?? first;
    if (typeof handler !== "function") {
      throw new TypeError(`the handler of ${kind} is no function: give one after its options`);
    }
    if (this.#life !== undefined) {
      throw new IllegalState(`the worker runs already: add the handler of ${kind} before run()`);
    }
    if (this.#duties.has(kind)) {
      throw new IllegalState(`the worker has a handler of ${kind} already: one is enough`);
    }
    this.#duties.set(kind, { handler, parser: typeof first === "function" ? undefined : first.input });
    return this;
  }

  /**
   * Takes jobs until the worker was drained: by a signal, by `drain` or `stop`, or by an operator. Returns at once if it
   * was told to end before.
   *
   * @throws the error that the server refuses the worker with, such as InvalidRequest for a bad name; IllegalState if it
   *   was run before.
   */
  async run(options: RunOptions = {}): Promise<void> {
    if (this.#life !== undefined) {
      throw new IllegalState("the worker was run already: make a new one");
    }
    if (this.#duties.size === 0) {
      throw InvalidRequest.of("kinds", "is empty: add a handler before run()");
    }
    if (this.#isDraining) {
      return;
    }
    const life = this.#begin();
    this.#life = life;
    const drain = () => {
      life.drain(this.#isDraining ? 0 : this.#settings.drainTimeout);
      this.#isDraining = true;
    };
    const ignoreSignals = (options.signals ?? true) ? onSignals(drain) : () => undefined;
    options.signal?.addEventListener("abort", drain);
    if (options.signal?.aborted === true) {
      drain();
    }
    try {
      this.#ended = life.run();
      await this.#ended;
    } finally {
      ignoreSignals();
      options.signal?.removeEventListener("abort", drain);
    }
  }

  /**
   * Takes no new jobs, lets what runs finish within this many milliseconds, gives back the rest without counting the
   * attempt, and returns once the worker has ended. Default: the worker's `drainTimeout`.
   */
  async drain(within = this.#settings.drainTimeout): Promise<void> {
    this.#isDraining = true;
    this.#life?.drain(span("within", within, 0));
    // What it ended with is for who runs it.
    await this.#ended?.catch(() => undefined);
  }

  /** Gives everything back at once, and returns once the worker has ended. */
  stop(): Promise<void> {
    return this.drain(0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #begin(): Life {
    const { onConnected, onDisconnected } = this.options;
    const { name, queues, slots } = this.#settings;
    return new Life(connectionOf(this.client), this.#duties, {
      name,
      queues,
      slots,
      connected: ({ workerId, serverVersion }) => {
        guarded(() => onConnected?.({ workerId, serverVersion }));
      },
      disconnected: (reason, retryIn) => {
        guarded(() => onDisconnected?.({ reason, retryIn }));
      },
      refused: (message) => {
        process.emitWarning(message, "JobstreamWarning");
      },
    });
  }
}

/** What a listener throws is no reason to end a worker. */
function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : String(error), "JobstreamWarning");
  }
}
