// A TCP proxy that cuts or stalls connections on demand.

import { once } from "node:events";
import * as net from "node:net";

const PING = 6;
/** Size of a PING frame. */
const PING_BYTES = 17;

export class Proxy implements AsyncDisposable {
  /** Number of accepted connections. */
  accepted = 0;
  /** Number of responses to PINGs that the server sent in a segment of their own. */
  pongs = 0;
  readonly #server = net.createServer((client) => {
    this.#open(client);
  });
  readonly #sockets = new Set<net.Socket>();
  #cutAfter = Infinity;
  readonly #stalled = new WeakSet<net.Socket>();
  #stallsNew = false;

  private constructor(readonly target: URL) {}

  static async before(address: string): Promise<Proxy> {
    const proxy = new Proxy(new URL(address));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) {
      socket.resetAndDestroy();
    }
  }

  /** Cuts each new connection after the server has sent this many bytes over it. */
  cutAfter(bytes: number): void {
    this.#cutAfter = bytes;
  }

  /** Stops forwarding on the open connections without closing them, and optionally on new ones. */
  stall({ isNewToo = false } = {}): void {
    for (const socket of this.#sockets) {
      this.#stalled.add(socket);
    }
    this.#stallsNew = isNewToo;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, "close");
  }

  #open(client: net.Socket): void {
    this.accepted += 1;
    const server = net.connect(Number(this.target.port), this.target.hostname);
    let left = this.#cutAfter;
    const forward = (from: net.Socket, to: net.Socket, pass: (data: Buffer) => void) => {
      this.#sockets.add(from);
      if (this.#stallsNew) {
        this.#stalled.add(from);
      }
      from.on("data", (data: Buffer) => {
        if (!this.#stalled.has(from)) {
          pass(data);
        }
      });
      // The close event closes the other side.
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroySoon();
      });
    };
    forward(client, server, (data) => server.write(data));
    forward(server, client, (data) => {
      this.pongs += data.length === PING_BYTES && data[3] === PING ? 1 : 0;
      client.write(data.subarray(0, left));
      left -= data.length;
      if (left < 0) {
        server.destroy();
      }
    });
  }
}
