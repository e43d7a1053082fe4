// The interface between a client and its transport. Node and browsers have an implementation each.

import type { Transport } from "@connectrpc/connect";

/** The connections to one server. They connect at the first call and reconnect when they break. */
export interface Connection {
  /** Base URL of the server. */
  readonly address: string;
  /** Whether a call that is refused for its token may succeed with the next token. */
  readonly renewsToken: boolean;
  /** A likely reason why the last connection ended, if there is one. */
  readonly hint?: string | undefined;
  /** The transport of all calls. It stays valid when connections are replaced. */
  readonly transport: Transport;
  /** A link for a short call. */
  forShortCall(): Link;
  /** A link for a watch or a long poll. */
  forLongCall(): Link;
  /** Closes every connection and ends the calls on it. */
  close(): void;
}

/** A connection in use by a call. */
export interface Link {
  readonly transport: Transport;
  /** Replaces a connection that is open but does not respond. Later calls use another. */
  replace(): void;
  /** Ends the use by the call. */
  release(): void;
}
