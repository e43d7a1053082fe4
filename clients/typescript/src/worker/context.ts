// The context of a handler: its job, its cancellation signal, and progress, output and logs.

import { create } from "@bufbuild/protobuf";

import { type LogLevel, writeLevel } from "../client/events.js";
import { Payload } from "../data/payload.js";
import { spanOf } from "../data/span.js";
import { truncateText } from "../data/text.js";
import { type TraceContext, readTraceContext } from "../data/trace_context.js";
import { InvalidRequest } from "../errors.js";
import { OutputSchema, type Progress, ProgressSchema } from "../gen/jobstream/v1/job_pb.js";
import type { Assignment } from "../gen/jobstream/v1/worker_service_pb.js";
import type { ReportBuffer } from "./report_buffer.js";
import type { SettledCallback, Settlement } from "./settlement.js";

const PROGRESS_MESSAGE_BYTES_MAX = 1024;
const UNIT_BYTES_MAX = 64;
const CHANNEL_BYTES_MAX = 64;

/** One attempt of a job, as its handler sees it. */
export class Context {
  /** The job id. (jobId, attempt) is the idempotency key for side effects: no pair is assigned twice. */
  readonly jobId: string;
  /** Number of the attempt, from 1. Numbers increase and may have gaps. */
  readonly attempt: number;
  readonly kind: string;
  readonly queue: string;
  /** As submitted. */
  readonly headers: Readonly<Record<string, string>>;
  /** As submitted. */
  readonly labels: Readonly<Record<string, string>>;
  /** The trace of the submitter. */
  readonly traceContext: TraceContext | undefined;
  readonly #assignment: Assignment;
  readonly #buffer: ReportBuffer;
  readonly #lease: string;
  readonly #settlement: Settlement;

  private constructor(
    assignment: Assignment,
    buffer: ReportBuffer,
    /**
     * Aborted when the handler must stop: the job was cancelled, its lease was lost, or the worker is draining. Pass it
     * to functions that take a signal. An error that the handler throws afterwards does not count as a failure; a
     * returned value is its result.
     */
    readonly signal: AbortSignal,
    /** When the attempt times out, by the clock of this machine. */
    readonly deadline: Date,
    /** The undecoded input, as the interceptors have changed it. */
    readonly payload: Payload,
    settlement: Settlement,
  ) {
    this.jobId = assignment.jobId;
    this.attempt = assignment.attempt;
    this.kind = assignment.kind;
    this.queue = assignment.queue;
    this.headers = assignment.headers;
    this.labels = assignment.labels;
    this.traceContext = readTraceContext(assignment.traceContext);
    this.#assignment = assignment;
    this.#buffer = buffer;
    this.#lease = assignment.leaseId;
    this.#settlement = settlement;
  }

  /** @internal */
  static of(assignment: Assignment, buffer: ReportBuffer, signal: AbortSignal, settlement: Settlement): Context {
    const deadline = new Date(Math.min(Date.now() + spanOf(assignment.timeLeft), DATE_MAX));
    return new Context(assignment, buffer, signal, deadline, Payload.read(assignment.payload), settlement);
  }

  /** The same attempt with another input. @internal */
  with(payload: Payload): Context {
    return payload === this.payload
      ? this
      : new Context(this.#assignment, this.#buffer, this.signal, this.deadline, payload, this.#settlement);
  }

  /**
   * Reports progress. Cheap in a tight loop: only the newest value is sent.
   *
   * @param fraction 0 to 1; other values are clamped.
   * @param message human-readable; truncated to 1 KiB.
   */
  progress(fraction: number, message = ""): void {
    this.#report({ fraction: clampFraction(fraction), message: truncateText(message, PROGRESS_MESSAGE_BYTES_MAX) });
  }

  /**
   * Reports progress as `done` of `total` units. The fraction is `done / total`, if the total is positive.
   *
   * @param unit such as `files`; truncated to 64 bytes.
   */
  progressOf(done: number, total: number, unit = ""): void {
    const fraction = total > 0 ? { fraction: clampFraction(done / total) } : {};
    const finite = {
      ...(Number.isFinite(done) && { done }),
      ...(Number.isFinite(total) && { total }),
    };
    this.#report({ ...fraction, ...finite, unit: truncateText(unit, UNIT_BYTES_MAX) });
  }

  /**
   * Sends a chunk of output to watchers. It is not part of the result. A string is sent as plain text, a `Uint8Array`
   * as data, a `Payload` unchanged, anything else as JSON. The promise resolves once the send buffer has free space
   * (backpressure): await it.
   *
   * @param channel name of the output channel; truncated to 64 bytes.
   * @throws InvalidRequest if the chunk is over the payload limit, 1 MiB by default; the signal's reason once it is
   * aborted.
   */
  async output(chunk: unknown, channel = ""): Promise<void> {
    this.signal.throwIfAborted();
    const payload = Payload.chunk(chunk);
    const { payloadBytesMax } = this.#buffer.limits;
    if (payload.size > payloadBytesMax) {
      throw InvalidRequest.of("output", `is ${payload.size} bytes, limit is ${payloadBytesMax}: send smaller chunks`);
    }
    const output = create(OutputSchema, {
      payload: payload.write(),
      channel: truncateText(channel, CHANNEL_BYTES_MAX),
    });
    await this.#buffer.output(this.#lease, output, payload.size, this.signal);
  }

  /** Sends a log line to watchers, truncated to 16 KiB. Lines are dropped and counted while the send buffer is full. */
  log(text: string, level: LogLevel = "info"): void {
    this.#buffer.log(this.#lease, writeLevel(level), text);
  }

  /**
   * Registers a callback for the end of the attempt, for example to remove a temporary file or to commit an offset only
   * once the server has the result. It is called once, after the handler and the interceptors have returned:
   *
   * - without an error once the server has acknowledged the result, the failure or the release of the attempt; with a
   *   log they are durable then;
   * - with an error of reason `LEASE_LOST`, or the error with which the server refused it, if the attempt did not count,
   *   also because a drain released the job before the handler returned;
   * - with Unavailable if the worker ended before an acknowledgement arrived, or reconnected after a restart of the
   *   server: then it is not known.
   *
   * Callbacks run in the order of their registration and must not block. A promise is not awaited. An error of a
   * callback is logged.
   *
   * ```ts
   * context.onSettled(async (error) => {
   *   if (error === undefined) await rm(file);
   * });
   * ```
   *
   * @throws IllegalState if the handler has returned.
   */
  onSettled(callback: SettledCallback): void {
    this.#settlement.add(callback);
  }

  #report(progress: Partial<Pick<Progress, "fraction" | "done" | "total" | "unit" | "message">>): void {
    this.#buffer.progress(this.#lease, create(ProgressSchema, progress));
  }
}

/** The largest time of a Date. */
const DATE_MAX = 8.64e15;

function clampFraction(fraction: number): number {
  return Number.isNaN(fraction) ? 0 : Math.min(1, Math.max(0, fraction));
}
