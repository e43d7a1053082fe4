// One HTTP/2 connection of Node, with its own way to notice that it is dead.

import * as net from "node:net";
import * as tls from "node:tls";

import type { Interceptor, Transport } from "@connectrpc/connect";
import { Http2SessionManager, createGrpcTransport } from "@connectrpc/connect-node";

/** Longest time to open a connection. */
const CONNECT_TIMEOUT = 10_000;
/** Room for what a fast server sends on one stream while the caller reads slowly. */
const STREAM_WINDOW_BYTES = 2 * 1024 * 1024;
/** Megabytes. Node's default of 10 ends streams once some hundred are open. */
const SESSION_MEMORY_MAX = 256;

/** How a connection is made and watched. */
export interface SessionOptions {
  /** Milliseconds of silence before a PING, and those its answer may take. */
  readonly ping: { readonly after: number; readonly answer: number };
  /** For `https://` addresses. */
  readonly tls: tls.ConnectionOptions;
  readonly interceptors: Interceptor[];
  /** Largest message that is read, in bytes. */
  readonly messageBytesMax: number;
}

/** A connection that opens with its first call, and again after it broke. */
export class Session {
  readonly transport: Transport;
  readonly #manager: Http2SessionManager;
  readonly #sockets = new Set<net.Socket>();

  constructor(address: string, options: SessionOptions) {
    const pings = {
      pingIntervalMs: options.ping.after,
      pingTimeoutMs: options.ping.answer,
      // An idle connection is pinged before the next call. The manager's pings of idle ones outlive their connection,
      // and throw out of a timer.
      pingIdleConnection: false,
    };
    this.#manager = new Http2SessionManager(address, pings, {
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
      maxSessionMemory: SESSION_MEMORY_MAX,
      createConnection: (url) => this.#socket(url, options.tls),
    });
    this.transport = createGrpcTransport({
      baseUrl: address,
      sessionManager: this.#manager,
      interceptors: options.interceptors,
      readMaxBytes: options.messageBytesMax,
      // The server compresses nothing.
      acceptCompression: [],
    });
  }

  /** Ends the connection and every call on it. The next call would open another. */
  close(): void {
    this.#manager.abort();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  #socket(url: URL, options: tls.ConnectionOptions): net.Socket {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const isTls = url.protocol === "https:";
    const port = Number(url.port) || (isTls ? 443 : 80);
    const servername = net.isIP(host) === 0 ? { servername: host } : {};
    const socket = isTls
      ? tls.connect({ ...servername, ...options, host, port, ALPNProtocols: ["h2"] })
      : net.connect({ host, port });
    socket.setNoDelay(true);
    const timer = setTimeout(() => {
      const error = new Error(`no connection within ${CONNECT_TIMEOUT} ms`);
      socket.destroy(Object.assign(error, { code: "ETIMEDOUT" }));
    }, CONNECT_TIMEOUT);
    this.#sockets.add(socket);
    socket.once(isTls ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
    });
    socket.once("close", () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
    });
    return socket;
  }
}
