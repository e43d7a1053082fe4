// Starts a real server in memory mode on a free port, for tests.

import { type ChildProcess, spawn } from "node:child_process";
import { Socket } from "node:net";
import { createInterface } from "node:readline";

import { Client, type NodeClientOptions } from "../node/client.js";

/** Longest time in milliseconds for a server to print its address, and to stop. */
const START_TIME_MAX = 10_000;
const STOP_TIME_MAX = 5_000;
const BANNER = /^\s*gRPC\s+(\S+:\d+)/;

export interface ServerOptions {
  /** Path of the server binary. Default: the environment variable JOBSTREAM_BIN, else `jobstream` in PATH. */
  readonly binary?: string | undefined;
  /** Listen address. Default `127.0.0.1:0`, a free port. */
  readonly listen?: string | undefined;
  /** Further arguments of `jobstream dev`, such as `["--cors-origin", "http://localhost:3000"]`. */
  readonly args?: readonly string[] | undefined;
}

/** A server in memory mode. It is killed when the process that started it exits normally. */
export class TestServer implements AsyncDisposable {
  readonly #clients: Client[] = [];

  /** @internal */
  constructor(
    /** The address as `http://host:port`, with `--tls-cert` as `https://host:port`. */
    readonly address: string,
    readonly process: ChildProcess,
  ) {}

  /** A client of the server. It is closed with the server. */
  client(options?: NodeClientOptions): Client {
    const client = new Client(this.address, options);
    this.#clients.push(client);
    return client;
  }

  /** Kills the server, which loses its jobs. Resolves when the process has ended. */
  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    for (const client of this.#clients.splice(0)) {
      client.close();
    }
    await end(this.process, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/**
 * Starts a server without demo handlers.
 *
 * ```ts
 * await using server = await startServer();
 * const job = await server.client().submit("greet", "world");
 * ```
 *
 * @throws Error with the output of the server if it does not start within 10 s.
 */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const binary = options.binary ?? process.env["JOBSTREAM_BIN"] ?? "jobstream";
  const args = ["dev", "--listen", options.listen ?? "127.0.0.1:0", "--demo=false", ...(options.args ?? [])];
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
  const endWithUs = () => child.kill("SIGKILL");
  process.once("exit", endWithUs);
  child.once("exit", () => process.off("exit", endWithUs));
  try {
    const address = await printedAddress(child, binary);
    // A server that was not stopped must not keep the test process alive.
    child.unref();
    for (const pipe of [child.stdout, child.stderr]) {
      if (pipe instanceof Socket) {
        pipe.unref();
      }
    }
    return new TestServer(address.includes("://") ? address : `http://${address}`, child);
  } catch (error) {
    await end(child, "SIGKILL");
    throw error;
  }
}

/** The address that the server prints. */
function printedAddress(child: ChildProcess, binary: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const printed: string[] = [];
    const fail = (why: string) => {
      reject(new Error(`${binary} ${why}: set JOBSTREAM_BIN to the jobstream binary\n${printed.join("\n")}`));
    };
    const timer = setTimeout(fail, START_TIME_MAX, "printed no address in time");
    for (const stream of [child.stdout, child.stderr]) {
      // Reads all output, so that the server never blocks on a full pipe.
      createInterface({ input: stream ?? process.stdin }).on("line", (line) => {
        const address = BANNER.exec(line)?.[1];
        if (address !== undefined) {
          clearTimeout(timer);
          resolve(address);
        }
        printed.splice(0, printed.length - 50);
        printed.push(line);
      });
    }
    child.once("error", (error) => {
      clearTimeout(timer);
      fail(`does not start, ${error.message}`);
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      fail(`ended with exit status ${String(code)}`);
    });
  });
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
    return;
  }
  child.ref();
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIME_MAX);
  await ended;
  clearTimeout(timer);
}
