// Every bound of a client, with its default.

import type { Interceptor } from "@connectrpc/connect";

import { InvalidRequest } from "../errors.js";

/** How long a client waits and how often it tries. All spans are milliseconds. */
export interface ClientOptions {
  /**
   * Longest time of one call with all its tries. A wait for a result and an open watch are not bounded by it, only
   * their single steps. Default 30 000.
   */
  readonly callTimeout?: number | undefined;
  /** How calls are tried again when the server is away or full. */
  readonly tries?: TriesOptions | undefined;
  /** How long a watch or a wait for a result looks for a server that is away. Default 300 000, 5 min. */
  readonly patience?: number | undefined;
  /** How long the server is asked to hold one poll for a result, at most 60 000. Default 30 000. */
  readonly longPoll?: number | undefined;
  /** Interceptors of @connectrpc/connect for every call, for example to add headers for a proxy. */
  readonly interceptors?: Interceptor[] | undefined;
}

/** A pause is a random part of a length that doubles from `firstPause` to `longestPause`, plus what the server asks for. */
export interface TriesOptions {
  /** Tries in all, the first included. Default 6. */
  readonly atMost?: number | undefined;
  /** Longest pause before the second try. Default 100. */
  readonly firstPause?: number | undefined;
  /** Longest pause before any try. Default 5 000. */
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
  readonly atMost: number;
  readonly firstPause: number;
  readonly longestPause: number;
}

const LONG_POLL_MAX = 60_000;

/** @throws InvalidRequest if a span is none. */
export function readOptions(options: ClientOptions): Settings {
  const tries = options.tries ?? {};
  return {
    callTimeout: span("callTimeout", options.callTimeout, 30_000),
    tries: {
      atMost: number("tries.atMost", tries.atMost, 6, 1, Infinity),
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
    throw InvalidRequest.of(name, `is ${given}: give a whole number from ${min} to ${max}`);
  }
  return number(name, given, given, min, max);
}

function number(name: string, given: number | undefined, otherwise: number, min: number, max: number): number {
  const value = given ?? otherwise;
  if (!(value >= min && value <= max)) {
    throw InvalidRequest.of(name, `is ${value}: allowed are ${min}${max === Infinity ? " or more" : ` to ${max}`}`);
  }
  return value;
}
