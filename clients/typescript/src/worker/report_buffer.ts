// The state that a worker sends to its server: numbered reports until they are acknowledged, running attempts, accepted
// leases, slots and heartbeats. requests.ts builds messages from it.

import { create } from "@bufbuild/protobuf";

import type { JobstreamError } from "../errors.js";
import { now } from "../data/span.js";
import { byteLength, truncateText } from "../data/text.js";
import { LogLevel, LogSchema, LogStream, type Output, type Progress, type Log } from "../gen/jobstream/v1/job_pb.js";
import { Condition } from "./condition.js";
import { ByteSemaphore } from "./byte_semaphore.js";
import { type Limits, type ReportBody, release } from "./final_report.js";
import { type Settlement, leaseLost, notAcknowledged } from "./settlement.js";

/**
 * Most bytes of unacknowledged progress, output and logs. Above it output waits and log lines are dropped and counted.
 * Final reports are not limited: there is one per slot.
 */
const BUFFER_BYTES_MAX = 8 * 1024 * 1024;
/** Size of a report without its content, an upper bound. */
const REPORT_BYTES = 192;
const LOG_TEXT_BYTES_MAX = 16 * 1024;

/** The limits of the server from Welcome. */
export interface ServerLimits extends Limits {
  /** Duration of a lease after its last heartbeat, in milliseconds. */
  readonly lease: number;
  /** The last acknowledged report. */
  readonly acked: number;
  /** The server may have refused more final reports up to this one than it listed. */
  readonly unknown: number;
  /** The held leases that are still valid. */
  readonly standing: ReadonlySet<string>;
}

/** An unacknowledged report. */
export interface Entry {
  readonly lease: string;
  readonly bytes: number;
  /** Undefined if the lease was lost. */
  body: ReportBody | undefined;
  acquired: number;
  /** That of the attempt, if this is its final report. */
  readonly settlement?: Settlement | undefined;
}

interface Attempt {
  /** The newest progress that is not in a report yet. */
  progress: Progress | undefined;
  /** Log lines dropped since the last buffered one. */
  dropped: number;
  /** The server does not know the lease. The final report is dropped. */
  leaseLost: boolean;
  /** Whether the acceptance was sent. */
  isAccepted: boolean;
  readonly settlement: Settlement | undefined;
}

const NEW_ATTEMPT: Attempt = {
  progress: undefined,
  dropped: 0,
  leaseLost: false,
  isAccepted: false,
  settlement: undefined,
};

/** Buffers the reports of one worker across its connections. */
export class ReportBuffer {
  readonly space = new ByteSemaphore(BUFFER_BYTES_MAX);
  /** Notified when there may be something to send, or all reports are acknowledged. */
  readonly changed = new Condition();
  /** Unacknowledged reports, oldest first, with consecutive numbers from `first`. */
  readonly reports: Entry[] = [];
  first = 1;
  /** Leases whose acceptance was not sent. */
  acceptedLeases: string[] = [];
  heartbeatRequested = false;
  /** Time of the last heartbeat, or of the stream's start without attempts. Leases are extended from then. */
  leasesRenewedAt = now();
  readonly #attempts = new Map<string, Attempt>();
  #slots: number;
  #limits: ServerLimits = {
    lease: 0,
    payloadBytesMax: Infinity,
    messageBytesMax: Infinity,
    acked: 0,
    unknown: 0,
    standing: new Set(),
  };

  constructor(slots: number) {
    this.#slots = slots;
  }

  get limits(): Limits {
    return this.#limits;
  }

  /** When the leases expire if no heartbeat is sent. */
  get leaseDeadline(): number {
    return this.leasesRenewedAt + this.#limits.lease;
  }

  /** Slots without those of attempts that lost their leases and have not stopped. */
  get slots(): number {
    const taken = [...this.#attempts.values()].filter(({ leaseLost }) => leaseLost).length;
    return Math.max(0, this.#slots - taken);
  }

  /** Changes the number of slots. */
  set slots(slots: number) {
    this.#slots = slots;
    this.changed.notify();
  }

  /** Slots without all running attempts, for Hello. */
  get freeSlots(): number {
    return Math.max(0, this.#slots - this.#attempts.size);
  }

  get isAcknowledged(): boolean {
    return this.reports.length === 0;
  }

  /** Running attempts that hold their leases. */
  running(): string[] {
    return [...this.#attempts].flatMap(([lease, { leaseLost }]) => (leaseLost ? [] : [lease]));
  }

  /** Leases of running attempts, and of ended ones whose final report is not acknowledged. */
  held(): string[] {
    const ended = this.reports.filter(({ body }) => isFinal(body)).map(({ lease }) => lease);
    return [...this.running(), ...ended];
  }

  /** Whether the attempt holds its lease. */
  hasLease(lease: string): boolean {
    return this.#leased(lease) !== undefined;
  }

  /**
   * Records a new attempt and accepts its lease. Returns false after it released the attempt of a worker that drains: the
   * server sent the assignment before it received that the worker has no slots.
   */
  begin(lease: string, settlement?: Settlement): boolean {
    if (this.#slots === 0) {
      this.#push(lease, release(), REPORT_BYTES, 0);
      return false;
    }
    this.#attempts.set(lease, { ...NEW_ATTEMPT, settlement });
    this.acceptedLeases.push(lease);
    this.changed.notify();
    return true;
  }

  /** Records that the acceptance of these leases was sent. */
  markAccepted(leases: string[]): void {
    for (const lease of leases) {
      const attempt = this.#leased(lease);
      if (attempt !== undefined) {
        attempt.isAccepted = true;
      }
    }
    this.changed.notify();
  }

  /** Resolves once the acceptance was sent, or the signal is aborted. */
  async waitAccepted(lease: string, signal: AbortSignal): Promise<void> {
    await this.changed.until(() => signal.aborted || this.#attempts.get(lease)?.isAccepted !== false);
  }

  /** Records progress. Only the newest unsent value is retained. */
  progress(lease: string, progress: Progress): void {
    const attempt = this.#leased(lease);
    if (attempt === undefined) {
      return;
    }
    const isFirst = attempt.progress === undefined;
    attempt.progress = progress;
    if (isFirst) {
      this.changed.notify();
    }
  }

  /** Buffers a log line. Drops and counts it if the buffer is full. */
  log(lease: string, level: LogLevel, text: string): void {
    const attempt = this.#leased(lease);
    if (attempt === undefined) {
      return;
    }
    const truncated = truncateText(text, LOG_TEXT_BYTES_MAX);
    const bytes = REPORT_BYTES + byteLength(truncated);
    const acquired = this.space.tryAcquire(bytes);
    if (acquired === undefined) {
      attempt.dropped += 1;
      return;
    }
    this.#pushDroppedCount(lease, attempt);
    this.#push(lease, { case: "log", value: line(level, truncated) }, bytes, acquired);
  }

  /**
   * Buffers a chunk of output. Waits while the buffer is full. Rejects with the signal's reason if it is aborted
   * before. Drops the chunk if the lease was lost.
   */
  async output(lease: string, output: Output, size: number, signal: AbortSignal): Promise<void> {
    const bytes = REPORT_BYTES + size;
    const acquired = await this.space.acquire(bytes, signal);
    if (this.hasLease(lease)) {
      this.#push(lease, { case: "output", value: output }, bytes, acquired);
    } else {
      this.space.release(acquired);
    }
  }

  /** Ends a running attempt with its final report. */
  end(lease: string, end: ReportBody, bytes: number): void {
    const attempt = this.#leased(lease);
    if (attempt !== undefined) {
      this.#pushDroppedCount(lease, attempt);
      if (attempt.progress !== undefined) {
        this.#push(lease, { case: "progress", value: attempt.progress }, REPORT_BYTES, 0);
      }
      this.#push(lease, end, REPORT_BYTES + bytes, 0, attempt.settlement);
    }
    this.#attempts.delete(lease);
    this.changed.notify();
  }

  /** Buffers reports of the newest progress of each attempt, up to the buffer limit. */
  pushProgress(): void {
    for (const [lease, attempt] of this.#attempts) {
      const { progress } = attempt;
      const acquired = progress && this.space.tryAcquire(REPORT_BYTES + byteLength(progress.message));
      if (progress !== undefined && acquired !== undefined) {
        attempt.progress = undefined;
        this.reports.push({ lease, body: { case: "progress", value: progress }, bytes: acquired, acquired });
      }
    }
  }

  /** The server accepts no report of this attempt any more. */
  lose(lease: string, error: JobstreamError): void {
    const ended = this.reports.filter((entry) => entry.lease === lease);
    for (const attempt of [...ended, this.#attempts.get(lease)]) {
      attempt?.settlement?.settle(error);
    }
  }

  /** The server has refused the report of this number. */
  refuse(number: number, error: JobstreamError): void {
    this.reports[number - this.first]?.settlement?.settle(error);
  }

  /** Ends the buffer with the worker: no acknowledgement arrives any more. */
  close(): void {
    for (const { settlement } of this.reports) {
      settlement?.settle(notAcknowledged());
    }
  }

  /** Removes the reports up to this number. */
  acknowledge(upTo: number): void {
    let done = 0;
    for (const entry of this.reports) {
      if (this.first + done > upTo && entry.body !== undefined) {
        break;
      }
      this.space.release(entry.acquired);
      done += 1;
    }
    const acknowledged = this.reports.splice(0, done);
    this.first += done;
    for (const { settlement } of acknowledged) {
      settlement?.settle();
    }
    this.changed.notify();
  }

  /** Applies Welcome, after its refusals. Returns the attempts whose leases are lost. */
  welcome(limits: ServerLimits): string[] {
    this.#limits = limits;
    for (const [index, { lease, settlement }] of this.reports.entries()) {
      const number = this.first + index;
      const isResent = number > limits.acked && limits.standing.has(lease);
      if (number <= limits.unknown && !isResent) {
        settlement?.settle(notAcknowledged());
      }
    }
    // First, because an attempt whose end was acknowledged has no lease either.
    this.acknowledge(limits.acked);
    const lost = this.running().filter((lease) => !limits.standing.has(lease));
    for (const lease of lost) {
      this.lose(lease, leaseLost());
      this.#attempts.set(lease, { ...NEW_ATTEMPT, leaseLost: true, isAccepted: true });
    }
    for (const entry of this.reports.filter(({ lease }) => !limits.standing.has(lease))) {
      entry.body = undefined;
      this.space.release(entry.acquired);
      entry.acquired = 0;
      entry.settlement?.settle(leaseLost());
    }
    this.acknowledge(limits.acked);
    this.acceptedLeases = this.running();
    this.heartbeatRequested = this.acceptedLeases.length > 0;
    // Without running attempts, or after all leases expired, lease times restart.
    if (!this.heartbeatRequested || now() >= this.leaseDeadline) {
      this.leasesRenewedAt = now();
    }
    this.changed.notify();
    return lost;
  }

  #leased(lease: string): Attempt | undefined {
    const attempt = this.#attempts.get(lease);
    return attempt?.leaseLost === false ? attempt : undefined;
  }

  #pushDroppedCount(lease: string, attempt: Attempt): void {
    if (attempt.dropped > 0) {
      const text = `${attempt.dropped} log lines were dropped here: the send buffer was full`;
      attempt.dropped = 0;
      this.#push(lease, { case: "log", value: line(LogLevel.WARN, text) }, REPORT_BYTES + text.length, 0);
    }
  }

  #push(lease: string, body: ReportBody, bytes: number, acquired: number, settlement?: Settlement): void {
    this.reports.push({ lease, body, bytes, acquired, settlement });
    this.changed.notify();
  }
}

/** Whether the report ends its attempt. */
export function isFinal(body: ReportBody | undefined): boolean {
  return body?.case === "complete" || body?.case === "fail" || body?.case === "release" || body?.case === "stopped";
}

function line(level: LogLevel, text: string): Log {
  return create(LogSchema, { level, text, stream: LogStream.LOG });
}
