// What a handler can see and do while its attempt runs.

import { create } from "@bufbuild/protobuf";

import { type LogLevel, writeLevel } from "../client/events.js";
import { Payload } from "../data/payload.js";
import { spanOf } from "../data/span.js";
import { cutText } from "../data/text.js";
import { InvalidRequest } from "../errors.js";
import { OutputSchema, type Progress, ProgressSchema } from "../gen/jobstream/v1/job_pb.js";
import type { Assignment } from "../gen/jobstream/v1/worker_service_pb.js";
import type { Ledger } from "./ledger.js";

const PROGRESS_MESSAGE_BYTES_MAX = 1024;
const UNIT_BYTES_MAX = 64;
const CHANNEL_BYTES_MAX = 64;

/** One attempt of a job, as its handler sees it. */
export class Context {
  /** With `attempt` the key of side effects that must not happen twice: no two workers are ever sent the same pair. */
  readonly jobId: string;
  /** From 1. Numbers grow and may have gaps. */
  readonly attempt: number;
  readonly kind: string;
  readonly queue: string;
  /** When the attempt is ended by force, by this machine's clock. */
  readonly deadline: Date;
  /** As submitted. */
  readonly headers: Readonly<Record<string, string>>;
  /** As submitted. */
  readonly labels: Readonly<Record<string, string>>;
  /** The input as it came, with its content type. */
  readonly payload: Payload;
  readonly #ledger: Ledger;
  readonly #lease: string;

  /** @internal */
  constructor(
    assignment: Assignment,
    ledger: Ledger,
    /**
     * Ends when the handler is to stop: the job was cancelled, its lease was lost, or the worker ends. Hand it to
     * whatever takes a signal. What a handler throws after that counts as stopped, what it returns as its result.
     */
    readonly signal: AbortSignal,
  ) {
    this.jobId = assignment.jobId;
    this.attempt = assignment.attempt;
    this.kind = assignment.kind;
    this.queue = assignment.queue;
    this.deadline = new Date(Math.min(Date.now() + spanOf(assignment.timeLeft), DATE_MAX));
    this.headers = assignment.headers;
    this.labels = assignment.labels;
    this.payload = Payload.read(assignment.payload);
    this.#ledger = ledger;
    this.#lease = assignment.leaseId;
  }

  /**
   * Tells how far the attempt is. Cheap in a tight loop: only the newest is sent.
   *
   * @param fraction 0 to 1; what lies beyond is cut.
   * @param message for people; cut to 1 KiB.
   */
  progress(fraction: number, message = ""): void {
    this.#tell({ fraction: share(fraction), message: cutText(message, PROGRESS_MESSAGE_BYTES_MAX) });
  }

  /**
   * Tells how many units of how many are done.
   *
   * @param unit what is counted, such as `files`; cut to 64 bytes.
   */
  progressOf(done: number, total: number, unit = ""): void {
    const fraction = total > 0 ? { fraction: share(done / total) } : {};
    const finite = {
      ...(Number.isFinite(done) && { done }),
      ...(Number.isFinite(total) && { total }),
    };
    this.#tell({ ...fraction, ...finite, unit: cutText(unit, UNIT_BYTES_MAX) });
  }

  /**
   * Emits a chunk for watchers; it does not become part of the result. A string is sent as plain text, a `Uint8Array`
   * as data, a `Payload` as it is, anything else as JSON. Resolves at once, or when the server has taken enough of the
   * earlier ones: await it.
   *
   * @param channel which of several outputs; cut to 64 bytes.
   * @throws InvalidRequest if the chunk is larger than the server takes, 1 MiB; the signal's reason once it ended.
   */
  async output(chunk: unknown, channel = ""): Promise<void> {
    this.signal.throwIfAborted();
    const payload = Payload.chunk(chunk);
    const { payloadBytesMax } = this.#ledger.limits;
    if (payload.size > payloadBytesMax) {
      throw InvalidRequest.of(
        "output",
        `is ${payload.size} bytes, the limit is ${payloadBytesMax}: send smaller chunks`,
      );
    }
    const output = create(OutputSchema, { payload: payload.write(), channel: cutText(channel, CHANNEL_BYTES_MAX) });
    await this.#ledger.output(this.#lease, output, payload.size, this.signal);
  }

  /**
   * Writes a line for watchers, cut to 16 KiB. Lines that come faster than they can be sent are dropped and counted.
   */
  log(text: string, level: LogLevel = "info"): void {
    this.#ledger.log(this.#lease, writeLevel(level), text);
  }

  #tell(progress: Partial<Pick<Progress, "fraction" | "done" | "total" | "unit" | "message">>): void {
    this.#ledger.progress(this.#lease, create(ProgressSchema, progress));
  }
}

/** The last moment that a Date can say. */
const DATE_MAX = 8.64e15;

function share(fraction: number): number {
  return Number.isNaN(fraction) ? 0 : Math.min(1, Math.max(0, fraction));
}
