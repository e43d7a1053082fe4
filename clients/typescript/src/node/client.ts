// The client of Node: gRPC over HTTP/2.

import type * as tls from "node:tls";

import { DEFAULT_ADDRESS, readAddress } from "../client/address.js";
import { BaseClient } from "../client/base.js";
import { type ClientOptions, integer, span } from "../client/options.js";
import { NodeConnection } from "./connection.js";

/** All spans are milliseconds. */
export interface NodeClientOptions extends ClientOptions {
  /** How a dead connection is noticed: a PING after so much silence, whose answer may take so long. */
  readonly ping?: { readonly after?: number | undefined; readonly answer?: number | undefined } | undefined;
  /** Certificates and the like for `https://` addresses. */
  readonly tls?: tls.ConnectionOptions | undefined;
  /**
   * Largest message that is read, in bytes, 65 536 to 2^31 - 1. A worker says it to the server, which gives jobs that do
   * not fit to others. Default 64 MiB: many times what a server sends by default.
   */
  readonly messageBytesMax?: number | undefined;
}

const MESSAGE_BYTES_DEFAULT = 64 * 1024 * 1024;
/** The least that a server lets a worker read, and the most that fits a message of gRPC here. */
const MESSAGE_BYTES_MIN = 64 * 1024;
const MESSAGE_BYTES_MAX = 2 ** 31 - 1;

const connections = new WeakMap<Client, NodeConnection>();

/**
 * Submits jobs to a server and finds them again. It connects with its first call, and again whenever that is needed.
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
   *   JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.
   * @throws InvalidRequest if the address or an option is none.
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

/** The connection of a client, for its workers. */
export function connectionOf(client: Client): NodeConnection {
  const connection = connections.get(client);
  if (connection === undefined) {
    throw new TypeError("this is no Client of this package: make one with new Client(address)");
  }
  return connection;
}
