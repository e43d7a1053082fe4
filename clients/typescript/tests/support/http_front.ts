// An HTTP/2 server that answers each request with an error page, like a proxy in front of a server.

import { once } from "node:events";
import { type IncomingHttpHeaders, type ServerHttp2Session, createServer } from "node:http2";
import type { AddressInfo } from "node:net";

export class HttpFront implements AsyncDisposable {
  /** The paths of the requests. */
  readonly paths: string[] = [];
  /** The headers of the requests. */
  readonly headers: IncomingHttpHeaders[] = [];
  readonly #server = createServer((request, response) => {
    this.paths.push(request.url);
    this.headers.push(request.headers);
    response.writeHead(this.status, { "content-type": "text/html" }).end("<!doctype html><title>proxy</title>");
  });
  readonly #sessions = new Set<ServerHttp2Session>();

  private constructor(readonly status: number) {}

  static async with(status: number): Promise<HttpFront> {
    const front = new HttpFront(status);
    front.#server.on("session", (session) => front.#sessions.add(session));
    front.#server.listen(0, "127.0.0.1");
    await once(front.#server, "listening");
    return front;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) {
      session.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }
}
