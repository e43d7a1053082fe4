// The options of a client, with their defaults.

import type { Interceptor } from "@connectrpc/connect";

import { InvalidRequest } from "../errors.js";
import type { HeaderOptions } from "./headers.js";
import type { SubmitInterceptor } from "./interceptors.js";

/** Credentials, timeouts and retry limits of a client. All durations are in milliseconds. */
export interface ClientOptions extends HeaderOptions {
  /** Deadline of one call including its retries. Does not limit waits for a result and watches. Default 30 000. */
  readonly callTimeout?: number | undefined;
  /** The retry policy of calls. */
  readonly tries?: TriesOptions | undefined;
  /** How long a watch or a wait for a result tries to reconnect to an unavailable server. Default 300 000, 5 min. */
  readonly patience?: number | undefined;
  /** Longest wait of one long poll for a result, at most 60 000. Default 30 000. */
  readonly longPoll?: number | undefined;
  /** Called around the submit of each job. The first is the outermost. */
  readonly submitInterceptors?: readonly SubmitInterceptor[] | undefined;
  /** Interceptors of @connectrpc/connect for every call. None of them receives the token. */
  readonly interceptors?: Interceptor[] | undefined;
}

/**
 * Exponential back-off from `firstPause` to `longestPause` with full jitter, plus the delay requested by the server.
 */
export interface TriesOptions {
  /** Number of attempts including the first. Default 6. */
  readonly maxAttempts?: number | undefined;
  /** Largest back-off before the first retry. Default 100. */
  readonly firstPause?: number | undefined;
  /** Largest back-off before any retry. Default 5 000. */
  readonly longestPause?: number | undefined;
}

/** The options with their defaults. */
export interface Settings {
  readonly callTimeout: number;
  readonly tries: Tries;
  readonly patience: number;
  readonly longPoll: number;
}

export interface Tries {
  readonly maxAttempts: number;
  readonly firstPause: number;
  readonly longestPause: number;
}

const LONG_POLL_MAX = 60_000;

/** @throws InvalidRequest if an option is invalid. */
export function readOptions(options: ClientOptions): Settings {
  const tries = options.tries ?? {};
  return {
    callTimeout: span("callTimeout", options.callTimeout, 30_000),
    tries: {
      maxAttempts: number("tries.maxAttempts", tries.maxAttempts, 6, 1, Infinity),
      firstPause: span("tries.firstPause", tries.firstPause, 100),
      longestPause: span("tries.longestPause", tries.longestPause, 5_000),
    },
    patience: span("patience", options.patience, 300_000),
    longPoll: number("longPoll", options.longPoll, 30_000, 0, LONG_POLL_MAX),
  };
}

/** Checks a number of milliseconds, 0 or more. */
export function span(name: string, given: number | undefined, otherwise: number): number {
  return number(name, given, otherwise, 0, Infinity);
}

/** Checks a whole number. */
export function integer(name: string, given: number, min: number, max: number): number {
  if (!Number.isInteger(given)) {
    throw InvalidRequest.of(name, `is ${given}: must be an integer from ${min} to ${max}`);
  }
  return number(name, given, given, min, max);
}

function number(name: string, given: number | undefined, otherwise: number, min: number, max: number): number {
  const value = given ?? otherwise;
  if (!(value >= min && value <= max)) {
    throw InvalidRequest.of(name, `is ${value}: must be ${min}${max === Infinity ? " or more" : ` to ${max}`}`);
  }
  return value;
}
