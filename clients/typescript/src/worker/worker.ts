// The worker: runs the jobs of a server with a handler for each kind.

import { IllegalState, InvalidRequest } from "../errors.js";
import { span } from "../client/options.js";
import { type Client, connectionOf } from "../node/client.js";
import { messageOf } from "./final_report.js";
import type { RegisteredHandler, Handler, HandlerOptions } from "./handler.js";
import { WorkerLog } from "./log.js";
import { WorkerSession } from "./worker_session.js";
import { type WorkerOptions, readWorkerOptions } from "./options.js";
import { onSignals } from "./signals.js";

export interface RunOptions {
  /** Whether the first SIGTERM or SIGINT drains the worker and the second stops it. Default true. */
  readonly signals?: boolean | undefined;
  /** Drains the worker when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs the jobs of a server. If the connection breaks, the worker reconnects and continues its attempts. If their
 * leases expire before that, it cancels them, because the server assigns their jobs to other workers.
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
  readonly #handlers = new Map<string, RegisteredHandler>();
  readonly #settings: ReturnType<typeof readWorkerOptions>;
  readonly #log: WorkerLog;
  #session: WorkerSession | undefined;
  #ended: Promise<void> | undefined;
  #isDraining = false;

  /** @throws InvalidRequest if an option is invalid. */
  constructor(
    readonly client: Client,
    readonly options: WorkerOptions = {},
  ) {
    this.#settings = readWorkerOptions(options);
    this.#log = new WorkerLog(this.#settings.name, this.#settings.logger);
  }

  /**
   * Registers the handler of a kind. Its input is decoded by content type: JSON, plain text as a string, anything else
   * as bytes; `input` parses it further. The return value is the result. An error fails the attempt; it is retryable
   * unless it is a PermanentError.
   *
   * @throws IllegalState if the kind has a handler or the worker is running.
   */
  handle<Out>(kind: string, handler: Handler<unknown, Out>): this;
  handle<In, Out>(kind: string, handler: Handler<In, Out>): this;
  handle<In, Out>(kind: string, options: HandlerOptions<In>, handler: Handler<In, Out>): this;
  handle(kind: string, first: Handler<never> | HandlerOptions<unknown>, second?: Handler<never>): this {
    const handler = second ?? first;
    if (typeof handler !== "function") {
      throw new TypeError(`the handler of ${kind} is not a function`);
    }
    if (this.#session !== undefined) {
      throw new IllegalState(`the worker is running: add the handler of ${kind} before run()`);
    }
    if (this.#handlers.has(kind)) {
      throw new IllegalState(`the worker already has a handler of ${kind}`);
    }
    this.#handlers.set(kind, { handler, parser: typeof first === "function" ? undefined : first.input });
    return this;
  }

  /**
   * Runs jobs until the worker is drained by a signal, `drain`, `stop` or an operator. Resolves immediately if it was
   * drained before.
   *
   * @throws the error with which the server rejects the worker, such as InvalidRequest for an invalid name;
   * JobstreamError of reason `CLIENT_CLOSED` once its client is closed; IllegalState if it was run before.
   */
  async run(options: RunOptions = {}): Promise<void> {
    if (this.#session !== undefined) {
      throw new IllegalState("the worker was run before: create a new one");
    }
    if (this.#handlers.size === 0) {
      throw InvalidRequest.of("kinds", "is empty: add a handler before run()");
    }
    if (this.#isDraining) {
      return;
    }
    const session = this.#begin();
    this.#session = session;
    const drain = () => {
      session.drain(this.#isDraining ? 0 : this.#settings.drainTimeout);
      this.#isDraining = true;
    };
    const ignoreSignals = (options.signals ?? true) ? onSignals(drain) : () => undefined;
    options.signal?.addEventListener("abort", drain);
    if (options.signal?.aborted === true) {
      drain();
    }
    try {
      this.#ended = session.run();
      await this.#ended.finally(() => {
        this.#log.flush();
      });
      this.#log.drained();
    } finally {
      ignoreSignals();
      options.signal?.removeEventListener("abort", drain);
    }
  }

  /**
   * Drains the worker: accepts no new jobs, waits for running attempts, releases the rest after `within` milliseconds,
   * and resolves once the worker has ended. A released attempt does not count. Default: the worker's `drainTimeout`.
   */
  async drain(within = this.#settings.drainTimeout): Promise<void> {
    this.#isDraining = true;
    this.#session?.drain(span("within", within, 0));
    // `run` reports the error.
    await this.#ended?.catch(() => undefined);
  }

  /** Releases all attempts immediately. Resolves once the worker has ended. */
  stop(): Promise<void> {
    return this.drain(0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #begin(): WorkerSession {
    const { onConnected, onDisconnected } = this.options;
    const { name, queues, slots } = this.#settings;
    return new WorkerSession(connectionOf(this.client), this.#handlers, {
      name,
      queues,
      slots,
      connected: ({ workerId, serverVersion }) => {
        this.#log.connected(this.client.address);
        this.#callSafely(() => onConnected?.({ workerId, serverVersion }));
      },
      disconnected: (reason, retryIn) => {
        this.#log.disconnected(reason, retryIn);
        this.#callSafely(() => onDisconnected?.({ reason, retryIn }));
      },
      interceptors: this.#settings.interceptors,
      log: this.#log,
    });
  }

  /** Calls a callback. An error of a callback must not end the worker. */
  #callSafely(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#log.warn(`a callback of the worker failed: ${messageOf(error)}`);
    }
  }
}
