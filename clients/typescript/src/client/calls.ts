// Sends calls to a server: once, or with retries within a deadline.

import { type CallOptions, type Client as Stub, createClient } from "@connectrpc/connect";

import { now } from "../data/span.js";
import { DeadlineExceeded, JobstreamError, Unavailable } from "../errors.js";
import { AdminService } from "../gen/jobstream/v1/admin_service_pb.js";
import { JobService } from "../gen/jobstream/v1/job_service_pb.js";
import { Backoff, isTransient } from "./backoff.js";
import { BootCache } from "./boot_cache.js";
import type { Connection, Link } from "./connection.js";
import type { Settings } from "./options.js";
import { Scope, pause } from "./scope.js";
import { readError } from "./status.js";

export type JobStub = Stub<typeof JobService>;
type Send<A> = (jobs: JobStub, options: CallOptions) => Promise<A>;

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
  call<A>(send: Send<A>, signal?: AbortSignal): Promise<A> {
    const sendWithStub = (link: Link, options: CallOptions) => send(createClient(JobService, link.transport), options);
    return this.#retry(sendWithStub, signal);
  }

  /** Sends a call once over this link. `deadline` is a time of [now]. */
  async once<A>(link: Link, deadline: number, send: Send<A>, signal?: AbortSignal): Promise<A> {
    return this.#sendOnce(
      link,
      deadline,
      (_, options) => send(createClient(JobService, link.transport), options),
      signal,
    );
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
    const error = readError(thrown, this.connection.address);
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

  async #retry<A>(send: (link: Link, options: CallOptions) => Promise<A>, signal?: AbortSignal): Promise<A> {
    const { callTimeout, tries } = this.settings;
    const deadline = now() + callTimeout;
    const backoff = new Backoff(tries);
    for (let attempts = 1; ; attempts++) {
      const link = this.connection.forShortCall();
      try {
        return await this.#sendOnce(link, deadline, send, signal);
      } catch (error) {
        if (error instanceof DeadlineExceeded) {
          link.replace();
        }
        await this.#pause(error, backoff, deadline, attempts, signal);
      } finally {
        link.release();
      }
    }
  }

  async #sendOnce<A>(
    link: Link,
    deadline: number,
    send: (link: Link, options: CallOptions) => Promise<A>,
    signal?: AbortSignal,
  ): Promise<A> {
    const scope = this.scope(signal);
    try {
      scope.signal.throwIfAborted();
      return await send(link, { signal: scope.signal, timeoutMs: Math.max(1, Math.ceil(deadline - now())) });
    } catch (thrown) {
      scope.signal.throwIfAborted();
      throw this.readError(thrown);
    } finally {
      scope.close();
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
    if (attempts >= this.settings.tries.atMost || span >= deadline - now()) {
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
    const ask = (link: Link, options: CallOptions) =>
      createClient(AdminService, link.transport).getServerInfo({}, options);
    return (await this.#retry(ask)).bootId;
  }
}

function closedError(): JobstreamError {
  return new JobstreamError("the client is closed: create a new one", { code: "CANCELLED", reason: "CLIENT_CLOSED" });
}
