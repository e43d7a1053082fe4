// Every bound of a worker, with its default.

import { hostname } from "node:os";

import { InvalidRequest } from "../errors.js";
import { span } from "../client/options.js";

export interface WorkerOptions {
  /** For people, shown with each attempt: 1 to 128 characters of `[A-Za-z0-9._:/-]`. Default: host name and process id. */
  readonly name?: string | undefined;
  /** The queues it serves, at most 1 000. Default: all. */
  readonly queues?: readonly string[] | undefined;
  /** How many attempts run at a time, 1 to 100 000. Default 16. */
  readonly slots?: number | undefined;
  /** Milliseconds that running attempts get to finish after a signal; the rest is given back. Default 10 000. */
  readonly drainTimeout?: number | undefined;
  /** Called each time it connected. */
  readonly onConnected?: ((connected: Connected) => void) | undefined;
  /** Called each time the connection broke or could not be made. */
  readonly onDisconnected?: ((disconnected: Disconnected) => void) | undefined;
}

export interface Connected {
  /** What ListWorkers and DrainWorker call the worker. */
  readonly workerId: string;
  readonly serverVersion: string;
}

export interface Disconnected {
  readonly reason: string;
  /** Milliseconds until it tries again. */
  readonly retryIn: number;
}

const SLOTS_MAX = 100_000;
const NAME_CHARACTERS_MAX = 128;

export function readWorkerOptions(options: WorkerOptions) {
  const slots = options.slots ?? 16;
  if (!Number.isInteger(slots) || slots < 1 || slots > SLOTS_MAX) {
    throw InvalidRequest.of("slots", `is ${slots}: allowed are integers from 1 to ${SLOTS_MAX}`);
  }
  return {
    slots,
    name: options.name ?? defaultName(),
    queues: [...(options.queues ?? [])],
    drainTimeout: span("drainTimeout", options.drainTimeout, 10_000),
  };
}

function defaultName(): string {
  const host = hostname().replace(/[^A-Za-z0-9._-]/g, "-");
  return `${host}:${process.pid}`.slice(-NAME_CHARACTERS_MAX);
}
