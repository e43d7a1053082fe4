// The Node client: gRPC over HTTP/2.

import type * as tls from "node:tls";

import { DEFAULT_ADDRESS, readAddress } from "../client/address.js";
import { BaseClient } from "../client/base.js";
import { type ClientOptions, integer, span } from "../client/options.js";
import { NodeConnection } from "./connection.js";

/** Options of a Node client. Durations are in milliseconds. */
export interface NodeClientOptions extends ClientOptions {
  /** HTTP/2 keepalive: a PING after this idle time, and the time to wait for its response. */
  readonly ping?: { readonly after?: number | undefined; readonly answer?: number | undefined } | undefined;
  /** TLS options for `https://` addresses. */
  readonly tls?: tls.ConnectionOptions | undefined;
  /**
   * Receive limit in bytes, 65 536 to 2^31 - 1. A worker reports it to the server, which assigns larger jobs to other
   * workers. Default 64 MiB, many times the largest message that a server sends by default.
   */
  readonly messageBytesMax?: number | undefined;
}

const MESSAGE_BYTES_DEFAULT = 64 * 1024 * 1024;
/** The smallest receive limit that a server accepts from a worker, and the largest of the gRPC library. */
const MESSAGE_BYTES_MIN = 64 * 1024;
const MESSAGE_BYTES_MAX = 2 ** 31 - 1;

const connections = new WeakMap<Client, NodeConnection>();

/**
 * A client of one server. It connects at the first call and reconnects when needed.
 *
 * ```ts
 * await using client = new Client("http://127.0.0.1:7070");
 * const job = await client.submit<{ url: string }>("resize", { width: 64 });
 * const { url } = await job.result({ timeout: 30_000 });
 * ```
 */
export class Client extends BaseClient implements Disposable, AsyncDisposable {
  /**
   * @param address `http://host:port`, `https://host:port` for TLS, or `host:port`. Default: the environment variable
   * JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.
   * @throws InvalidRequest if the address or an option is invalid.
   */
  constructor(address?: string, options: NodeClientOptions = {}) {
    const variable = process.env["JOBSTREAM_ADDRESS"] ?? "";
    const given = address ?? (variable === "" ? DEFAULT_ADDRESS : variable);
    const connection = new NodeConnection(readAddress(given), {
      ping: {
        after: span("ping.after", options.ping?.after, 10_000),
        answer: span("ping.answer", options.ping?.answer, 5_000),
      },
      tls: options.tls ?? {},
      interceptors: options.interceptors ?? [],
      messageBytesMax: integer(
        "messageBytesMax",
        options.messageBytesMax ?? MESSAGE_BYTES_DEFAULT,
        MESSAGE_BYTES_MIN,
        MESSAGE_BYTES_MAX,
      ),
    });
    super(connection, options);
    connections.set(this, connection);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

/** The connections of a client, for its workers. */
export function connectionOf(client: Client): NodeConnection {
  const connection = connections.get(client);
  if (connection === undefined) {
    throw new TypeError("not a Client of this package: create one with new Client(address)");
  }
  return connection;
}
