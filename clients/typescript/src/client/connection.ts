// What a client needs of the way to its server; Node and browsers have one each.

import type { Transport } from "@connectrpc/connect";

/** The way to one server. It connects with the first call, and again whenever that is needed. */
export interface Connection {
  /** Base URL of the server, as it is in messages. */
  readonly address: string;
  /** For every call; it stays the same when connections are replaced. */
  readonly transport: Transport;
  /** For a call that is answered at once. */
  forShortCall(): Link;
  /** For a call that is held open. */
  forHeldCall(): Link;
  /** Ends every connection, and every call on them. */
  close(): void;
}

/** A connection for as long as a call uses it. */
export interface Link {
  readonly transport: Transport;
  /** Nothing comes over it though it is open: later calls take another. */
  giveUp(): void;
  /** The call ended. */
  release(): void;
}
