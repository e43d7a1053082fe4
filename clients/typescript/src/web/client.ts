// The client of browsers: gRPC-Web by fetch.

import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { DEFAULT_ADDRESS, readAddress } from "../client/address.js";
import { BaseClient } from "../client/base.js";
import type { Connection } from "../client/connection.js";
import type { ClientOptions } from "../client/options.js";

export interface WebClientOptions extends ClientOptions {
  /** In place of the browser's own, for example to send credentials. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/**
 * Submits jobs to a server and finds them again, from a web page. The server must allow the page's origin
 * (`--cors-origin`). Browsers open about six connections to a plaintext server, and each watch or wait takes one: put a
 * proxy with TLS and HTTP/2 before it for more.
 */
export class Client extends BaseClient {
  /**
   * @param address `http://host:port` or `https://host:port`. Default http://127.0.0.1:7070.
   * @throws InvalidRequest if the address or an option is none.
   */
  constructor(address = DEFAULT_ADDRESS, options: WebClientOptions = {}) {
    super(connect(readAddress(address), options), options);
  }
}

/** The browser opens, shares and ends connections by itself. */
function connect(address: string, options: WebClientOptions): Connection {
  const transport = createGrpcWebTransport({
    baseUrl: address,
    interceptors: options.interceptors ?? [],
    ...(options.fetch && { fetch: options.fetch }),
  });
  const nothing = () => undefined;
  const link = { transport, giveUp: nothing, release: nothing };
  return { address, transport, forShortCall: () => link, forHeldCall: () => link, close: nothing };
}
