// The log lines of a worker. None has a payload.

import { type Failure, FailureReason } from "../gen/jobstream/v1/job_pb.js";
import type { Assignment } from "../gen/jobstream/v1/worker_service_pb.js";
import { messageOf } from "./final_report.js";

/** Most lines of failed attempts in a second. The others are counted. */
const FAILURES_PER_SECOND_MAX = 10;
const SECOND = 1_000;

/** Receives log lines: `console`, or a logger such as those of pino and winston. */
export interface Logger {
  info(line: string): void;
  /** `error` is what a handler has thrown, with its stack. */
  warn(line: string, error?: unknown): void;
}

/** Prints to stderr. Node prints `console.info` to stdout, which is for the output of the program. */
export const STDERR_LOGGER: Logger = {
  info: (line) => {
    console.error(line);
  },
  warn: (line, ...error) => {
    console.warn(line, ...error);
  },
};

export class WorkerLog {
  #isConnected: boolean | undefined;
  /** Number of failed attempts in the current second, and its end. */
  #failures = 0;
  #second: NodeJS.Timeout | undefined;

  constructor(
    /** Name of the worker. */
    readonly name: string,
    readonly logger: Logger,
  ) {}

  connected(address: string): void {
    this.#write("info", `worker ${this.name} is connected to ${address}`);
    this.#isConnected = true;
  }

  /** Logged once until the next connect. `retryIn` is in milliseconds. */
  disconnected(reason: string, retryIn: number): void {
    if (this.#isConnected !== false) {
      const what = this.#isConnected === true ? "lost its connection" : "cannot connect";
      this.warn(`worker ${this.name} ${what}: ${reason}; tries again in ${Math.round(retryIn)} ms`);
    }
    this.#isConnected = false;
  }

  drained(): void {
    this.#write("info", `worker ${this.name} is drained`);
  }

  /** Logs a failed attempt, at most ten a second. `thrown` has what the handler threw. */
  attemptFailed(assignment: Assignment, failure: Failure, thrown: readonly unknown[]): void {
    if (this.#failures === 0) {
      this.#second = setTimeout(this.flush.bind(this), SECOND).unref();
    }
    this.#failures += 1;
    if (this.#failures <= FAILURES_PER_SECOND_MAX) {
      this.#write("warn", describe(assignment, failure), thrown);
    }
  }

  /** Logs the error of a callback of `onSettled`. */
  callbackFailed(assignment: Assignment, thrown: unknown): void {
    const error = JSON.stringify(oneLine(messageOf(thrown)));
    this.#write("warn", `a callback of onSettled failed: ${fieldsOf(assignment)} error=${error}`, [thrown]);
  }

  /** Begins another second, and logs how many failed attempts of the last one were left out. */
  flush(): void {
    const omitted = this.#failures - FAILURES_PER_SECOND_MAX;
    this.#failures = 0;
    clearTimeout(this.#second);
    if (omitted > 0) {
      this.warn(`${omitted} more attempts failed: at most ${FAILURES_PER_SECOND_MAX} a second are logged`);
    }
  }

  warn(text: string): void {
    this.#write("warn", text);
  }

  /** An error of the logger must not end the worker. */
  #write(level: keyof Logger, text: string, error: readonly unknown[] = []): void {
    try {
      this.logger[level](`jobstream: ${oneLine(text)}`, ...error);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error), "JobstreamWarning");
    }
  }
}

function fieldsOf({ jobId, kind, queue, attempt }: Assignment): string {
  return `job=${jobId} kind=${kind} queue=${queue} attempt=${attempt}`;
}

function describe(assignment: Assignment, { reason, type, message }: Failure): string {
  const errorType = reason === FailureReason.HANDLER ? type : FailureReason[reason];
  // The message of a parser may quote the payload.
  const isQuoted = reason === FailureReason.BAD_PAYLOAD;
  const error = isQuoted ? "the input does not fit the handler, the failure of the job has details" : message;
  return `attempt failed: ${fieldsOf(assignment)} error_type=${errorType} error=${JSON.stringify(oneLine(error))}`;
}

function oneLine(text: string): string {
  return text.replace(/\p{Cc}+\s*/gu, " ").trimEnd();
}
