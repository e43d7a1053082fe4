// The Node client: gRPC over HTTP/2.

import { DEFAULT_ADDRESS, readAddress } from "../client/address.js";
import { BaseClient } from "../client/base.js";
import { headersOf } from "../client/headers.js";
import { type ClientOptions, integer, span } from "../client/options.js";
import { NodeConnection } from "./connection.js";
import { type TlsOptions, tlsOf } from "./tls.js";

/** Options of a Node client. Durations are in milliseconds. */
export interface NodeClientOptions extends ClientOptions, TlsOptions {
  /**
   * HTTP/2 keepalive while calls are open: a PING after `interval` without data, default 20 000, and the time to wait
   * for its response until the connection is closed, default 10 000. A connection that was idle for longer is checked
   * before the next call.
   */
  readonly keepalive?: { readonly interval?: number | undefined; readonly timeout?: number | undefined } | undefined;
  /** The former name of `keepalive`. */
  readonly ping?: { readonly after?: number | undefined; readonly answer?: number | undefined } | undefined;
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
   * JOBSTREAM_ADDRESS, else http://127.0.0.1:7070. JOBSTREAM_TOKEN and JOBSTREAM_CA are the defaults of `token` and `ca`.
   * @throws InvalidRequest if the address or an option is invalid, or a token would be sent over plain text.
   */
  constructor(address?: string, options: NodeClientOptions = {}) {
    const { JOBSTREAM_ADDRESS = "", JOBSTREAM_TOKEN, JOBSTREAM_CA } = process.env;
    const url = readAddress(address ?? (JOBSTREAM_ADDRESS === "" ? DEFAULT_ADDRESS : JOBSTREAM_ADDRESS));
    const { interceptor, renewsToken } = headersOf(url, options, JOBSTREAM_TOKEN);
    const { keepalive, ping } = options;
    const connection = new NodeConnection(url, {
      keepalive: {
        interval: span("keepalive.interval", keepalive?.interval ?? ping?.after, 20_000),
        timeout: span("keepalive.timeout", keepalive?.timeout ?? ping?.answer, 10_000),
      },
      tls: tlsOf(url, options, JOBSTREAM_CA),
      interceptors: [...(options.interceptors ?? []), interceptor],
      renewsToken,
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
