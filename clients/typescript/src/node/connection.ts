// The connection pool of a Node client: one connection for all calls, more for many long calls. A connection that does
// not respond is replaced.

import type { Transport } from "@connectrpc/connect";

import { closedError } from "../client/calls.js";
import type { Connection, Link } from "../client/connection.js";
import { Session, type SessionOptions } from "./session.js";

/**
 * Number of watches and long polls per connection. Servers limit concurrent streams to about a thousand per connection,
 * and short calls must not queue behind long ones.
 */
const LONG_CALLS_MAX = 900;
/** Largest number of connections. Above it watches and long polls queue. */
const CONNECTIONS_MAX = 64;

class PooledSession extends Session {
  /** Number of watches and long polls. */
  longCalls = 0;
  /** Number of all calls. */
  calls = 0;
  isReplaced = false;
}

/** Options of the connections to one server. */
export interface ConnectionOptions extends Omit<SessionOptions, "ended"> {
  /** Whether a function returns the token. */
  readonly renewsToken: boolean;
}

export class NodeConnection implements Connection {
  readonly transport: Transport;
  readonly #sessions: PooledSession[];
  readonly #replaced = new Set<PooledSession>();
  readonly #dedicated = new Set<Session>();
  readonly #closed = new AbortController();

  #hint: string | undefined;

  constructor(
    readonly address: string,
    readonly options: ConnectionOptions,
  ) {
    this.#sessions = [this.#pooled()];
    this.transport = {
      unary: (...call) => this.#first.transport.unary(...call),
      stream: (...call) => this.#first.transport.stream(...call),
    };
  }

  get renewsToken(): boolean {
    return this.options.renewsToken;
  }

  get hint(): string | undefined {
    return this.#hint;
  }

  forShortCall(): Link {
    return this.#link(this.#first, 0);
  }

  forLongCall(): Link {
    const free = this.#sessions.find(({ longCalls }) => longCalls < LONG_CALLS_MAX);
    return this.#link(free ?? this.#another(), 1);
  }

  /** A separate connection for a worker. The caller closes it with [closeDedicated]. */
  dedicated(): Session {
    const session = new Session(this.address, this.#sessionOptions());
    this.#dedicated.add(session);
    return session;
  }

  /** Closes a separate connection. */
  closeDedicated(session: Session): void {
    this.#dedicated.delete(session);
    session.close();
  }

  /** Number of connections for calls. */
  get size(): number {
    return this.#sessions.length;
  }

  /** Aborted once the client is closed. Its reason is the error of the client's workers. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  close(): void {
    this.#closed.abort(closedError());
    for (const session of [...this.#sessions, ...this.#replaced, ...this.#dedicated]) {
      session.close();
    }
  }

  get #first(): PooledSession {
    const [first] = this.#sessions;
    if (first === undefined) {
      throw new Error("the connection pool is empty");
    }
    return first;
  }

  #pooled(): PooledSession {
    return new PooledSession(this.address, this.#sessionOptions());
  }

  #sessionOptions(): SessionOptions {
    const ended = (hint: string | undefined) => {
      this.#hint = hint;
    };
    return { ...this.options, ended };
  }

  #another(): PooledSession {
    const any = this.#sessions[Math.floor(Math.random() * CONNECTIONS_MAX)];
    if (any !== undefined && this.#sessions.length >= CONNECTIONS_MAX) {
      return any;
    }
    const session = this.#pooled();
    this.#sessions.push(session);
    return session;
  }

  #link(session: PooledSession, longCalls: 0 | 1): Link {
    session.calls += 1;
    session.longCalls += longCalls;
    let isReleased = false;
    return {
      transport: session.transport,
      replace: () => {
        this.#replace(session);
      },
      release: () => {
        if (!isReleased) {
          isReleased = true;
          session.calls -= 1;
          session.longCalls -= longCalls;
          this.#closeUnused(session);
        }
      },
    };
  }

  /** Calls on the old connection continue. */
  #replace(session: PooledSession): void {
    const index = this.#sessions.indexOf(session);
    if (index !== -1) {
      this.#sessions[index] = this.#pooled();
      this.#replaced.add(session);
      session.isReplaced = true;
    }
  }

  #closeUnused(session: PooledSession): void {
    if (session.isReplaced && session.calls === 0) {
      this.#replaced.delete(session);
      session.close();
    }
  }
}
