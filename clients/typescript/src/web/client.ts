// The browser client: gRPC-Web over fetch.

import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { DEFAULT_ADDRESS, readAddress } from "../client/address.js";
import { BaseClient } from "../client/base.js";
import type { Connection } from "../client/connection.js";
import { headersOf } from "../client/headers.js";
import type { ClientOptions } from "../client/options.js";

export interface WebClientOptions extends ClientOptions {
  /** Replaces the fetch function of the browser, for example to send credentials. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/**
 * A client of one server for web pages. The server must allow the origin of the page (`--cors-origin`). Browsers open
 * about six connections to a plaintext server, and each watch or wait uses one: for more, use a proxy with TLS and
 * HTTP/2.
 */
export class Client extends BaseClient {
  /**
   * @param address `http://host:port` or `https://host:port`. Default http://127.0.0.1:7070.
   * @throws InvalidRequest if the address or an option is invalid.
   */
  constructor(address = DEFAULT_ADDRESS, options: WebClientOptions = {}) {
    super(connect(readAddress(address), options), options);
  }
}

/** The browser manages the connections. */
function connect(address: string, options: WebClientOptions): Connection {
  const { interceptor, renewsToken } = headersOf(address, options);
  const transport = createGrpcWebTransport({
    baseUrl: address,
    interceptors: [...(options.interceptors ?? []), interceptor],
    ...(options.fetch && { fetch: options.fetch }),
  });
  const nothing = () => undefined;
  const link = { transport, replace: nothing, release: nothing };
  return { address, renewsToken, transport, forShortCall: () => link, forLongCall: () => link, close: nothing };
}
