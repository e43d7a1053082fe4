// Sends calls to a server: once, or with retries within a deadline.

import type { CallOptions } from "@connectrpc/connect";

import { now } from "../data/span.js";
import { DeadlineExceeded, JobstreamError, Unauthenticated, Unavailable } from "../errors.js";
import { Backoff, isTransient } from "./backoff.js";
import { BootCache } from "./boot_cache.js";
import type { Connection, Link } from "./connection.js";
import type { Settings } from "./options.js";
import { Scope, pause } from "./scope.js";
import { readError } from "./status.js";
import { type Stubs, stubsOf } from "./stubs.js";

type Send<A> = (stubs: Stubs, options: CallOptions) => Promise<A>;

/** The state shared by all handles of one client. */
export class Calls {
  /** The boot id of the server. */
  readonly boots = new BootCache(() => this.#lookUpBoot());
  readonly #open = new Set<Scope>();
  #isClosed = false;

  constructor(
    readonly connection: Connection,
    readonly settings: Settings,
  ) {}

  /** Sends an idempotent call and retries transient errors within the call timeout. */
  async call<A>(send: Send<A>, signal?: AbortSignal): Promise<A> {
    const { callTimeout, tries } = this.settings;
    const deadline = now() + callTimeout;
    const backoff = new Backoff(tries);
    for (let attempts = 1; ; attempts++) {
      try {
        return await this.#sendOnce(deadline, send, signal);
      } catch (error) {
        await this.#pause(error, backoff, deadline, attempts, signal);
      }
    }
  }

  /** Sends a call that must not be executed twice. */
  callOnce<A>(send: Send<A>, signal?: AbortSignal): Promise<A> {
    return this.#sendOnce(now() + this.settings.callTimeout, send, signal);
  }

  /**
   * Sends a call once over this link, and once more with a new token if it was refused for its token. `deadline` is a
   * time of [now].
   */
  async once<A>(link: Link, deadline: number, send: Send<A>, signal?: AbortSignal): Promise<A> {
    try {
      return await this.#attempt(link, deadline, send, signal);
    } catch (error) {
      if (!this.mayRenewToken(error)) {
        throw error;
      }
      return await this.#attempt(link, deadline, send, signal);
    }
  }

  /** Whether a call with this error was refused for its token, and there may be a new one. */
  mayRenewToken(error: unknown): boolean {
    return this.connection.renewsToken && isRefusedToken(error);
  }

  /** A scope that ends with the caller's signal and with the client. */
  scope(signal?: AbortSignal): Scope {
    const scope: Scope = new Scope(() => this.#open.delete(scope)).follow(signal);
    this.#open.add(scope);
    if (this.#isClosed) {
      scope.abort(closedError());
    }
    return scope;
  }

  /** Converts the error of a call. Invalidates the boot id if the server is unavailable. */
  readError(thrown: unknown): unknown {
    const error = readError(thrown, this.connection);
    if (error instanceof Unavailable) {
      this.boots.invalidate();
    }
    return error;
  }

  close(): void {
    this.#isClosed = true;
    for (const scope of this.#open) {
      scope.abort(closedError());
    }
    this.connection.close();
  }

  async #attempt<A>(link: Link, deadline: number, send: Send<A>, signal?: AbortSignal): Promise<A> {
    const scope = this.scope(signal);
    try {
      scope.signal.throwIfAborted();
      const options = { signal: scope.signal, timeoutMs: Math.max(1, Math.ceil(deadline - now())) };
      return await send(stubsOf(link.transport), options);
    } catch (thrown) {
      scope.signal.throwIfAborted();
      throw this.readError(thrown);
    } finally {
      scope.close();
    }
  }

  async #sendOnce<A>(deadline: number, send: Send<A>, signal?: AbortSignal): Promise<A> {
    const link = this.connection.forShortCall();
    try {
      return await this.once(link, deadline, send, signal);
    } catch (error) {
      if (error instanceof DeadlineExceeded) {
        link.replace();
      }
      throw error;
    } finally {
      link.release();
    }
  }

  /** Sleeps before the next attempt. Throws the error if it is not transient or a limit is reached. */
  async #pause(
    error: unknown,
    backoff: Backoff,
    deadline: number,
    attempts: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if (!isTransient(error)) {
      throw error;
    }
    const span = backoff.next(error.retryAfter);
    if (attempts >= this.settings.tries.maxAttempts || span >= deadline - now()) {
      throw error;
    }
    const scope = this.scope(signal);
    try {
      await pause(span, scope.signal);
    } finally {
      scope.close();
    }
  }

  async #lookUpBoot(): Promise<string> {
    return (await this.call(({ admin }, options) => admin.getServerInfo({}, options))).bootId;
  }
}

/** Whether a call was refused for its token. */
export function isRefusedToken(error: unknown): boolean {
  return error instanceof Unauthenticated && error.reason !== "CLIENT_CERTIFICATE";
}

/** The error of the calls and workers of a closed client. */
export function closedError(): JobstreamError {
  return new JobstreamError("the client is closed: create a new one", { code: "CANCELLED", reason: "CLIENT_CLOSED" });
}
