// A TCP proxy that breaks connections on command.

import { once } from "node:events";
import * as net from "node:net";

export class Proxy implements AsyncDisposable {
  /** Connections taken so far. */
  accepted = 0;
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

  /** Cuts each connection that is opened from now on, once the server sent so many bytes over it. */
  cutAfter(bytes: number): void {
    this.#cutAfter = bytes;
  }

  /** Lets nothing more through on the connections there are, though they stay open; nor on new ones, if told. */
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
      // The other side is told by its own end.
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroySoon();
      });
    };
    forward(client, server, (data) => server.write(data));
    forward(server, client, (data) => {
      client.write(data.subarray(0, left));
      left -= data.length;
      if (left < 0) {
        server.destroy();
      }
    });
  }
}
