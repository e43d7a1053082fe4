// One HTTP/2 connection of Node with keepalive.

import type { ClientHttp2Stream, Http2Session } from "node:http2";
import * as net from "node:net";
import * as tls from "node:tls";

import type { Interceptor, Transport } from "@connectrpc/connect";
import { Http2SessionManager, createGrpcTransport } from "@connectrpc/connect-node";

/** Longest time in milliseconds to establish a connection. */
const CONNECT_TIMEOUT = 10_000;
/** HTTP/2 flow control window per stream: the data that a stream buffers for a slow reader. */
const STREAM_WINDOW_BYTES = 2 * 1024 * 1024;
/** Memory limit of a session in megabytes. Node's default of 10 ends streams once some hundred are open. */
const SESSION_MEMORY_MAX = 256;

const HTTPS_HINT = " (if it serves TLS, its address begins with https://)";
/** Size in bytes of the header of an HTTP/2 frame. */
const FRAME_HEADER_BYTES = 9;

/** Whether a server sent so little that it may be a TLS alert, but no HTTP/2 frame. */
function isAlert(bytesRead: number): boolean {
  return bytesRead > 0 && bytesRead < FRAME_HEADER_BYTES;
}

/** A manager of a connection that may break at any time. */
class SessionManager extends Http2SessionManager {
  readonly #guarded = new WeakSet<Http2Session>();

  override async request(...call: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...call);
    const { session } = stream;
    if (session !== undefined && !this.#guarded.has(session)) {
      this.#guarded.add(session);
      // The library listens only until it is aborted. An error without a listener would end the process.
      session.on("error", () => undefined);
    }
    return stream;
  }
}

/** Options of a connection. */
export interface SessionOptions {
  /** Time without data before a PING, and the time to wait for its response, in milliseconds. */
  readonly keepalive: { readonly interval: number; readonly timeout: number };
  /** Returns the TLS options of the next connection to an `https://` address. */
  readonly tls: () => tls.ConnectionOptions;
  readonly interceptors: Interceptor[];
  /** Receive limit in bytes. */
  readonly messageBytesMax: number;
  /** Called when a connection has ended, with a likely reason if there is one. */
  readonly ended: (hint: string | undefined) => void;
}

/** A connection that opens at the first call and reopens after it broke. */
export class Session {
  readonly transport: Transport;
  readonly #manager: Http2SessionManager;
  readonly #sockets = new Set<net.Socket>();

  constructor(address: string, options: SessionOptions) {
    const pings = {
      pingIntervalMs: options.keepalive.interval,
      pingTimeoutMs: options.keepalive.timeout,
      // The library pings an idle connection before the next call. Its background pings of idle connections outlive the
      // connection and throw from a timer.
      pingIdleConnection: false,
    };
    this.#manager = new SessionManager(address, pings, {
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
      maxSessionMemory: SESSION_MEMORY_MAX,
      createConnection: (url) => this.#socket(url, options),
    });
    this.transport = createGrpcTransport({
      baseUrl: address,
      sessionManager: this.#manager,
      interceptors: options.interceptors,
      readMaxBytes: options.messageBytesMax,
      // The server does not compress.
      acceptCompression: [],
    });
  }

  /** Closes the connection and ends its calls. A later call would open another. */
  close(): void {
    this.#manager.abort();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  #socket(url: URL, options: SessionOptions): net.Socket {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const isTls = url.protocol === "https:";
    const port = Number(url.port) || (isTls ? 443 : 80);
    const servername = net.isIP(host) === 0 ? { servername: host } : {};
    const socket = isTls
      ? tls.connect({ ...servername, ...options.tls(), host, port, ALPNProtocols: ["h2"] })
      : net.connect({ host, port });
    socket.setNoDelay(true);
    const timer = setTimeout(() => {
      const error = new Error(`connect timed out after ${CONNECT_TIMEOUT} ms`);
      socket.destroy(Object.assign(error, { code: "ETIMEDOUT" }));
    }, CONNECT_TIMEOUT);
    this.#sockets.add(socket);
    socket.once(isTls ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
    });
    socket.once("close", () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
      options.ended(!isTls && isAlert(socket.bytesRead) ? HTTPS_HINT : undefined);
    });
    return socket;
  }
}
