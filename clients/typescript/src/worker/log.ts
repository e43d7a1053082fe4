// The log lines of a worker. None has a payload.

import { type Failure, FailureReason } from "../gen/jobstream/v1/job_pb.js";
import type { Assignment } from "../gen/jobstream/v1/worker_service_pb.js";

/** Receives log lines: `console`, or a logger such as those of pino and winston. */
export interface Logger {
  info(line: string): void;
  warn(line: string): void;
}

/** Prints to stderr. Node prints `console.info` to stdout, which is for the output of the program. */
export const STDERR_LOGGER: Logger = {
  info: (line) => {
    console.error(line);
  },
  warn: (line) => {
    console.warn(line);
  },
};

export class WorkerLog {
  #isConnected: boolean | undefined;

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

  attemptFailed({ jobId, kind, attempt }: Assignment, failure: Failure): void {
    this.warn(`job ${jobId} (kind ${kind}, attempt ${attempt}) failed: ${describe(failure)}`);
  }

  warn(text: string): void {
    this.#write("warn", text);
  }

  /** An error of the logger must not end the worker. */
  #write(level: keyof Logger, text: string): void {
    try {
      this.logger[level](`jobstream: ${oneLine(text)}`);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error), "JobstreamWarning");
    }
  }
}

function describe({ reason, type, message }: Failure): string {
  switch (reason) {
    case FailureReason.HANDLER:
      return `${type}: ${message}`;
    case FailureReason.BAD_PAYLOAD:
      // The message of a parser may quote the payload.
      return "BAD_PAYLOAD: the input does not fit the handler, the failure of the job has details";
    default:
      return `${FailureReason[reason]}: ${message}`;
  }
}

function oneLine(text: string): string {
  return text.replace(/\p{Cc}+\s*/gu, " ").trimEnd();
}
