// Calls to a server: one try, or as many as time allows.

import { type CallOptions, type Client as Stub, createClient } from "@connectrpc/connect";

import { now } from "../data/span.js";
import { DeadlineExceeded, JobstreamError, Unavailable } from "../errors.js";
import { AdminService } from "../gen/jobstream/v1/admin_service_pb.js";
import { JobService } from "../gen/jobstream/v1/job_service_pb.js";
import { Backoff, isTransient } from "./backoff.js";
import { Boots } from "./boots.js";
import type { Connection, Link } from "./connection.js";
import type { Settings } from "./options.js";
import { Scope, pause } from "./scope.js";
import { readError } from "./status.js";

export type JobStub = Stub<typeof JobService>;
type Send<A> = (jobs: JobStub, options: CallOptions) => Promise<A>;

/** What all handles of one client share. */
export class Calls {
  /** The server's starts, as far as this client knows them. */
  readonly boots = new Boots(() => this.#askForBoot());
  readonly #open = new Set<Scope>();
  #isClosed = false;

  constructor(
    readonly connection: Connection,
    readonly settings: Settings,
  ) {}

  /** A call that may arrive twice, tried again while the server is away or full, all within the call timeout. */
  call<A>(send: Send<A>, signal?: AbortSignal): Promise<A> {
    const stubbed = (link: Link, options: CallOptions) => send(createClient(JobService, link.transport), options);
    return this.#persist(stubbed, signal);
  }

  /** One try over this link. `deadline` is a time of [now]. */
  async once<A>(link: Link, deadline: number, send: Send<A>, signal?: AbortSignal): Promise<A> {
    return this.#try(link, deadline, (_, options) => send(createClient(JobService, link.transport), options), signal);
  }

  /** A scope that ends with the signal of the caller and with the client. */
  scope(signal?: AbortSignal): Scope {
    const scope: Scope = new Scope(() => this.#open.delete(scope)).follow(signal);
    this.#open.add(scope);
    if (this.#isClosed) {
      scope.abort(closedError());
    }
    return scope;
  }

  /** The error that a call over this client's connection was ended with. */
  readError(thrown: unknown): unknown {
    const error = readError(thrown, this.connection.address);
    if (error instanceof Unavailable) {
      this.boots.forget();
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

  async #persist<A>(send: (link: Link, options: CallOptions) => Promise<A>, signal?: AbortSignal): Promise<A> {
    const { callTimeout, tries } = this.settings;
    const deadline = now() + callTimeout;
    const backoff = new Backoff(tries);
    for (let done = 1; ; done++) {
      const link = this.connection.forShortCall();
      try {
        return await this.#try(link, deadline, send, signal);
      } catch (error) {
        if (error instanceof DeadlineExceeded) {
          link.giveUp();
        }
        await this.#pause(error, backoff, deadline, done, signal);
      } finally {
        link.release();
      }
    }
  }

  async #try<A>(
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

  /** Pauses before the next try; throws if that does not help, or there is none left, or no time for it. */
  async #pause(error: unknown, backoff: Backoff, deadline: number, done: number, signal?: AbortSignal): Promise<void> {
    if (!isTransient(error)) {
      throw error;
    }
    const span = backoff.next(error.retryAfter);
    if (done >= this.settings.tries.atMost || span >= deadline - now()) {
      throw error;
    }
    const scope = this.scope(signal);
    try {
      await pause(span, scope.signal);
    } finally {
      scope.close();
    }
  }

  async #askForBoot(): Promise<string> {
    const ask = (link: Link, options: CallOptions) =>
      createClient(AdminService, link.transport).getServerInfo({}, options);
    return (await this.#persist(ask)).bootId;
  }
}

function closedError(): JobstreamError {
  return new JobstreamError("the client is closed: make a new one", { code: "CANCELLED", reason: "CLIENT_CLOSED" });
}
