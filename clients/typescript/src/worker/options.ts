// The options of a worker, with their defaults.

import { hostname } from "node:os";

import { InvalidRequest } from "../errors.js";
import { span } from "../client/options.js";
import type { HandlerInterceptor } from "./handler.js";
import { type Logger, STDERR_LOGGER } from "./log.js";

export interface WorkerOptions {
  /**
   * Human-readable name, shown with each attempt: 1 to 128 characters of `[A-Za-z0-9._:/-]`. Default: host name and
   * process id.
   */
  readonly name?: string | undefined;
  /** The queues to serve, at most 1 000. Default: all. */
  readonly queues?: readonly string[] | undefined;
  /** Number of concurrent attempts, 1 to 100 000. Default 16. */
  readonly slots?: number | undefined;
  /** Time in milliseconds for running attempts to finish after a signal. Default 10 000. */
  readonly drainTimeout?: number | undefined;
  /**
   * Receives a warning for each failed attempt, at most ten a second, and each lost connection, and an info line for each
   * connect and once the worker is drained. No line has a payload. Default: the console, on stderr.
   */
  readonly logger?: Logger | undefined;
  /** Called around each run of a handler. The first is the outermost. */
  readonly interceptors?: readonly HandlerInterceptor[] | undefined;
  /** Called after each connect. */
  readonly onConnected?: ((connected: Connected) => void) | undefined;
  /** Called when a connection breaks or cannot be established. */
  readonly onDisconnected?: ((disconnected: Disconnected) => void) | undefined;
}

export interface Connected {
  /** The worker id, as in ListWorkers and DrainWorker. */
  readonly workerId: string;
  readonly serverVersion: string;
}

export interface Disconnected {
  readonly reason: string;
  /** Milliseconds until the next attempt to connect. */
  readonly retryIn: number;
}

const SLOTS_MAX = 100_000;
const NAME_CHARACTERS_MAX = 128;

export function readWorkerOptions(options: WorkerOptions) {
  const slots = options.slots ?? 16;
  if (!Number.isInteger(slots) || slots < 1 || slots > SLOTS_MAX) {
    throw InvalidRequest.of("slots", `is ${slots}: must be an integer from 1 to ${SLOTS_MAX}`);
  }
  return {
    slots,
    name: options.name ?? defaultName(),
    queues: [...(options.queues ?? [])],
    logger: options.logger ?? STDERR_LOGGER,
    interceptors: [...(options.interceptors ?? [])],
    drainTimeout: span("drainTimeout", options.drainTimeout, 10_000),
  };
}

function defaultName(): string {
  const host = hostname().replace(/[^A-Za-z0-9._-]/g, "-");
  return `${host}:${process.pid}`.slice(-NAME_CHARACTERS_MAX);
}
