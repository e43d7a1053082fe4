// Reads the messages of a call over one stream after another. Another one is opened when a stream breaks or is idle.

import type { CallOptions } from "@connectrpc/connect";

import { Backoff, ReconnectBackoff } from "./backoff.js";
import type { Calls } from "./calls.js";
import type { Link } from "./connection.js";
import { type Scope, pause } from "./scope.js";
import { timedOut, unreachable } from "./status.js";
import { type Stubs, stubsOf } from "./stubs.js";

/** Number of missed heartbeats after which a stream is closed. */
const HEARTBEATS_MISSED_MAX = 3;
/** Longest time in milliseconds for a stream to close after the final event. */
const CLOSE_TIMEOUT = 1_000;

/** Opens a stream of messages. */
type Open<M> = (stubs: Stubs, options: CallOptions) => AsyncIterable<M>;

/** One stream of messages. It is cancelled when it is idle for too long. */
class Stream<M> {
  readonly #scope: Scope;
  readonly #messages: AsyncIterator<M>;
  #idleTimeout: number;
  #hasTimedOut = false;

  constructor(
    readonly calls: Calls,
    readonly link: Link,
    open: Open<M>,
    heartbeat: number,
    /** Longest time in milliseconds to open the stream. A gRPC deadline would limit the whole stream. */
    openTimeout: number,
    whole: Scope,
  ) {
    this.#scope = calls.scope(whole.signal);
    this.#idleTimeout = openTimeout;
    const onHeader = () => {
      this.#idleTimeout = HEARTBEATS_MISSED_MAX * heartbeat;
      this.#restartTimer();
    };
    const response = open(stubsOf(link.transport), { signal: this.#scope.signal, onHeader, timeoutMs: 0 });
    this.#messages = response[Symbol.asyncIterator]();
  }

  /** The next message; undefined at the end of the stream. */
  async next(): Promise<M | undefined> {
    this.#restartTimer();
    try {
      const next = await this.#messages.next();
      return next.done === true ? undefined : next.value;
    } catch (thrown) {
      if (this.#hasTimedOut) {
        this.link.replace();
      }
      this.#scope.signal.throwIfAborted();
      throw this.calls.readError(thrown);
    } finally {
      this.#scope.clearTimer();
    }
  }

  /** Waits for the server to close the stream, because a cancel would reset it. */
  async close(): Promise<void> {
    this.#idleTimeout = CLOSE_TIMEOUT;
    // Errors are ignored: the outcome is known.
    await this.next().catch(() => undefined);
    this.drop();
  }

  drop(): void {
    this.#scope.abort(undefined);
    this.#scope.close();
    this.link.release();
  }

  #restartTimer(): void {
    this.#scope.abortAfter(this.#idleTimeout, () => {
      this.#hasTimedOut = true;
      return timedOut(this.calls.connection.address);
    });
  }
}

/** A call that outlives its streams. Each stream resumes after the last message of the one before. */
export abstract class Streams<M> {
  readonly #reconnect: ReconnectBackoff;
  #stream: Stream<M> | undefined;
  /** Whether the last stream was refused for its token. */
  #isRefused = false;

  protected constructor(
    readonly calls: Calls,
    readonly heartbeat: number,
    readonly scope: Scope,
  ) {
    this.#reconnect = new ReconnectBackoff(calls.settings.tries, calls.settings.patience);
  }

  /** Closes the current stream, if there is one. */
  drop(): void {
    this.#stream?.drop();
    this.#stream = undefined;
  }

  /** Waits for the server to close the current stream. */
  protected async close(): Promise<void> {
    await this.#stream?.close();
    this.#stream = undefined;
  }

  /** The next message. @throws the error that ends the call, or the reason of the scope. */
  protected async message(): Promise<M> {
    for (;;) {
      this.scope.signal.throwIfAborted();
      try {
        return await this.#receive();
      } catch (error) {
        this.drop();
        this.scope.signal.throwIfAborted();
        await pause(this.#delay(this.explain(error)), this.scope.signal);
      }
    }
  }

  /** Opens a stream. */
  protected abstract open(stubs: Stubs, options: CallOptions): AsyncIterable<M>;

  /** Longest time in milliseconds to open a stream. */
  protected openTimeout(): number {
    return this.calls.settings.callTimeout;
  }

  /** Converts the error of a stream. */
  protected explain(error: unknown): unknown {
    return error;
  }

  /** The delay before the next stream. @throws the error if it is not transient or a limit is reached. */
  protected retryDelay(error: unknown): number {
    return this.#reconnect.nextDelay(error);
  }

  /** Called for each message. */
  protected received(): void {
    this.#isRefused = false;
    this.#reconnect.reset();
  }

  /** The delay before the next stream. A stream that was refused for its token is opened once more with a new one. */
  #delay(error: unknown): number {
    if (this.#isRefused || !this.calls.mayRenewToken(error)) {
      return this.retryDelay(error);
    }
    this.#isRefused = true;
    return new Backoff(this.calls.settings.tries).next();
  }

  async #receive(): Promise<M> {
    const message = await (this.#stream ??= this.#begin()).next();
    if (message === undefined) {
      // The server closes a stream without an error only after the last message. A proxy closed this one.
      throw unreachable(this.calls.connection.address, "the stream ended before the last message");
    }
    this.received();
    return message;
  }

  #begin(): Stream<M> {
    const open: Open<M> = (stubs, options) => this.open(stubs, options);
    const link = this.calls.connection.forLongCall();
    return new Stream(this.calls, link, open, this.heartbeat, this.openTimeout(), this.scope);
  }
}
