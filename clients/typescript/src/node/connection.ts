// The connections to one server: one for every call, more when many calls are held open, each replaced when it is no
// longer trusted.

import type { Transport } from "@connectrpc/connect";

import type { Connection, Link } from "../client/connection.js";
import { Session, type SessionOptions } from "./session.js";

/**
 * Watches and waits on one connection before another is opened. Servers allow about a thousand calls at a time on each,
 * and short ones must not queue behind those that are held open.
 */
const HELD_CALLS_MAX = 900;
/** Most connections at a time; beyond it watches and waits queue on those there are. */
const CONNECTIONS_MAX = 64;

class PooledSession extends Session {
  /** Calls that are held open. */
  held = 0;
  /** Calls of any kind. */
  used = 0;
  isGivenUp = false;
}

export class NodeConnection implements Connection {
  readonly transport: Transport;
  readonly #sessions: PooledSession[];
  readonly #givenUp = new Set<PooledSession>();
  readonly #dedicated = new Set<Session>();

  constructor(
    readonly address: string,
    readonly options: SessionOptions,
  ) {
    this.#sessions = [new PooledSession(address, options)];
    this.transport = {
      unary: (...call) => this.#first.transport.unary(...call),
      stream: (...call) => this.#first.transport.stream(...call),
    };
  }

  forShortCall(): Link {
    return this.#link(this.#first, 0);
  }

  forHeldCall(): Link {
    const free = this.#sessions.find(({ held }) => held < HELD_CALLS_MAX);
    return this.#link(free ?? this.#another(), 1);
  }

  /** A connection of its own, for a worker: it is the caller's to close. */
  dedicated(): Session {
    const session = new Session(this.address, this.options);
    this.#dedicated.add(session);
    return session;
  }

  /** Closes a connection of its own. */
  endDedicated(session: Session): void {
    this.#dedicated.delete(session);
    session.close();
  }

  /** How many connections there are for calls. */
  get size(): number {
    return this.#sessions.length;
  }

  close(): void {
    for (const session of [...this.#sessions, ...this.#givenUp, ...this.#dedicated]) {
      session.close();
    }
  }

  get #first(): PooledSession {
    const [first] = this.#sessions;
    if (first === undefined) {
      throw new Error("a connection has a session from its start");
    }
    return first;
  }

  #another(): PooledSession {
    const any = this.#sessions[Math.floor(Math.random() * CONNECTIONS_MAX)];
    if (any !== undefined && this.#sessions.length >= CONNECTIONS_MAX) {
      return any;
    }
    const session = new PooledSession(this.address, this.options);
    this.#sessions.push(session);
    return session;
  }

  #link(session: PooledSession, held: 0 | 1): Link {
    session.used += 1;
    session.held += held;
    let isReleased = false;
    return {
      transport: session.transport,
      giveUp: () => {
        this.#replace(session);
      },
      release: () => {
        if (!isReleased) {
          isReleased = true;
          session.used -= 1;
          session.held -= held;
          this.#closeUnused(session);
        }
      },
    };
  }

  /** Calls on the old one go on, until they give it up, too. */
  #replace(session: PooledSession): void {
    const index = this.#sessions.indexOf(session);
    if (index !== -1) {
      this.#sessions[index] = new PooledSession(this.address, this.options);
      this.#givenUp.add(session);
      session.isGivenUp = true;
    }
  }

  #closeUnused(session: PooledSession): void {
    if (session.isGivenUp && session.used === 0) {
      this.#givenUp.delete(session);
      session.close();
    }
  }
}
