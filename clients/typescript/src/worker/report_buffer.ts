// What a worker has to tell its server: reports, numbered and kept until they are acknowledged, and beside them the
// state of its attempts. The requests of a stream are made from it, see requests.ts.

import { create } from "@bufbuild/protobuf";

import { now } from "../data/span.js";
import { byteLength, cutText } from "../data/text.js";
import { LogLevel, LogSchema, LogStream, type Output, type Progress, type Log } from "../gen/jobstream/v1/job_pb.js";
import { Bell } from "./bell.js";
import { Room } from "./room.js";
import type { Limits, News } from "./verdict.js";

/**
 * Most bytes of progress, output and logs that are on their way and not acknowledged. More output waits, more logs are
 * dropped and counted. Ends always fit: there is one for each slot.
 */
const ROOM_BYTES = 8 * 1024 * 1024;
/** Bytes that a report takes beside what it carries. */
const REPORT_BYTES = 192;
const LOG_TEXT_BYTES_MAX = 16 * 1024;

/** The server's terms. */
export interface Terms extends Limits {
  /** How long a lease lasts after the last heartbeat that named it, in milliseconds. */
  readonly lease: number;
  /** Reports up to this number were taken. */
  readonly acked: number;
  /** The leases that still stand. */
  readonly standing: ReadonlySet<string>;
}

/** A report that was not acknowledged. */
export interface Entry {
  readonly lease: string;
  readonly bytes: number;
  /** Undefined once nobody wants to know any more. */
  news: News | undefined;
  room: number;
}

interface Attempt {
  /** The newest progress that has no number yet. */
  progress: Progress | undefined;
  /** Log lines that were dropped since the last one that was not. */
  dropped: number;
  /** The server does not know it any more: its end is dropped. */
  isVoid: boolean;
  /** That it was accepted has left, once. */
  isAccepted: boolean;
}

/** The books of one worker, through all its connections. */
export class Ledger {
  readonly room = new Room(ROOM_BYTES);
  /** Rung whenever there may be something to send, or nothing left. */
  readonly bell = new Bell();
  /** Reports that were not acknowledged, oldest first, with consecutive numbers from `first`. */
  readonly reports: Entry[] = [];
  first = 1;
  /** Leases of attempts that are to be accepted. */
  accepts: string[] = [];
  heartbeatDue = false;
  /** When the last heartbeat left, or the stream began without attempts: leases last from then on. */
  renewed = now();
  readonly #attempts = new Map<string, Attempt>();
  #slots: number;
  #terms: Terms = { lease: 0, payloadBytesMax: Infinity, messageBytesMax: Infinity, acked: 0, standing: new Set() };

  constructor(slots: number) {
    this.#slots = slots;
  }

  get limits(): Limits {
    return this.#terms;
  }

  /** When the leases run out unless a heartbeat leaves before. */
  get fence(): number {
    return this.renewed + this.#terms.lease;
  }

  /** What the server is to know of the slots: those of void attempts are taken until they stop. */
  get slots(): number {
    const taken = [...this.#attempts.values()].filter(({ isVoid }) => isVoid).length;
    return Math.max(0, this.#slots - taken);
  }

  /** Runs at most this many attempts at a time from now on. */
  set slots(slots: number) {
    this.#slots = slots;
    this.bell.ring();
  }

  /** What a new stream is told of the slots: the server may turn out not to know what runs. */
  get freeSlots(): number {
    return Math.max(0, this.#slots - this.#attempts.size);
  }

  get isSettled(): boolean {
    return this.reports.length === 0;
  }

  /** Attempts that run and that the server knows. */
  running(): string[] {
    return [...this.#attempts].flatMap(([lease, { isVoid }]) => (isVoid ? [] : [lease]));
  }

  /** Attempts that run or whose end was not acknowledged. */
  held(): string[] {
    const ended = this.reports.filter(({ news }) => isEnd(news)).map(({ lease }) => lease);
    return [...this.running(), ...ended];
  }

  /** Whether the server knows the attempt. */
  stands(lease: string): boolean {
    return this.#standing(lease) !== undefined;
  }

  /** Begins an attempt, which accepts it. */
  begin(lease: string): void {
    this.#attempts.set(lease, { progress: undefined, dropped: 0, isVoid: false, isAccepted: false });
    this.accepts.push(lease);
    this.bell.ring();
  }

  /** What accepts these attempts has left. */
  accepted(leases: string[]): void {
    for (const lease of leases) {
      const attempt = this.#standing(lease);
      if (attempt !== undefined) {
        attempt.isAccepted = true;
      }
    }
    this.bell.ring();
  }

  /** Returns once the attempt was accepted, or the signal ended. */
  async untilAccepted(lease: string, signal: AbortSignal): Promise<void> {
    await this.bell.until(() => signal.aborted || this.#attempts.get(lease)?.isAccepted !== false);
  }

  /** Notes progress; of what is not on its way yet only the newest is kept. */
  progress(lease: string, progress: Progress): void {
    const attempt = this.#standing(lease);
    if (attempt === undefined) {
      return;
    }
    const isFirst = attempt.progress === undefined;
    attempt.progress = progress;
    if (isFirst) {
      this.bell.ring();
    }
  }

  /** Adds a log line, if there is room; else a later line tells how many are missing. */
  log(lease: string, level: LogLevel, text: string): void {
    const attempt = this.#standing(lease);
    if (attempt === undefined) {
      return;
    }
    const cut = cutText(text, LOG_TEXT_BYTES_MAX);
    const bytes = REPORT_BYTES + byteLength(cut);
    const room = this.room.tryTake(bytes);
    if (room === undefined) {
      attempt.dropped += 1;
      return;
    }
    this.#noteDropped(lease, attempt);
    this.#push(lease, { case: "log", value: line(level, cut) }, bytes, room);
  }

  /**
   * Adds a chunk of output, once there is room. Rejects with the signal's reason if that ends before; a chunk of an
   * attempt that the server does not know is dropped.
   */
  async output(lease: string, output: Output, size: number, signal: AbortSignal): Promise<void> {
    const bytes = REPORT_BYTES + size;
    const room = await this.room.take(bytes, signal);
    if (this.stands(lease)) {
      this.#push(lease, { case: "output", value: output }, bytes, room);
    } else {
      this.room.give(room);
    }
  }

  /** Ends an attempt that runs. */
  end(lease: string, end: News, bytes: number): void {
    const attempt = this.#standing(lease);
    if (attempt !== undefined) {
      this.#noteDropped(lease, attempt);
      if (attempt.progress !== undefined) {
        this.#push(lease, { case: "progress", value: attempt.progress }, REPORT_BYTES, 0);
      }
      this.#push(lease, end, REPORT_BYTES + bytes, 0);
    }
    this.#attempts.delete(lease);
    this.bell.ring();
  }

  /** Makes reports of the newest progress of each attempt, while there is room. */
  numberProgress(): void {
    for (const [lease, attempt] of this.#attempts) {
      const { progress } = attempt;
      const room = progress && this.room.tryTake(REPORT_BYTES + byteLength(progress.message));
      if (progress !== undefined && room !== undefined) {
        attempt.progress = undefined;
        this.reports.push({ lease, news: { case: "progress", value: progress }, bytes: room, room });
      }
    }
  }

  /** Lets go of reports up to this number. */
  acknowledge(upTo: number): void {
    let done = 0;
    for (const entry of this.reports) {
      if (this.first + done > upTo && entry.news !== undefined) {
        break;
      }
      this.room.give(entry.room);
      done += 1;
    }
    this.reports.splice(0, done);
    this.first += done;
    this.bell.ring();
  }

  /** Goes on after the server's welcome. Answers the attempts that it does not know any more. */
  welcome(terms: Terms): string[] {
    this.#terms = terms;
    const lost = this.running().filter((lease) => !terms.standing.has(lease));
    for (const lease of lost) {
      this.#attempts.set(lease, { progress: undefined, dropped: 0, isVoid: true, isAccepted: true });
    }
    for (const entry of this.reports.filter(({ lease }) => !terms.standing.has(lease))) {
      entry.news = undefined;
      this.room.give(entry.room);
      entry.room = 0;
    }
    this.acknowledge(terms.acked);
    this.accepts = this.running();
    this.heartbeatDue = this.accepts.length > 0;
    // With nothing at stake, or all of it stopped already, leases begin anew.
    if (!this.heartbeatDue || now() >= this.fence) {
      this.renewed = now();
    }
    this.bell.ring();
    return lost;
  }

  #standing(lease: string): Attempt | undefined {
    const attempt = this.#attempts.get(lease);
    return attempt?.isVoid === false ? attempt : undefined;
  }

  #noteDropped(lease: string, attempt: Attempt): void {
    if (attempt.dropped > 0) {
      const text = `${attempt.dropped} log lines were dropped here: they came faster than they could be sent`;
      attempt.dropped = 0;
      this.#push(lease, { case: "log", value: line(LogLevel.WARN, text) }, REPORT_BYTES + text.length, 0);
    }
  }

  #push(lease: string, news: News, bytes: number, room: number): void {
    this.reports.push({ lease, news, bytes, room });
    this.bell.ring();
  }
}

/** Whether it ends its attempt. */
export function isEnd(news: News | undefined): boolean {
  return news?.case === "complete" || news?.case === "fail" || news?.case === "release" || news?.case === "stopped";
}

function line(level: LogLevel, text: string): Log {
  return create(LogSchema, { level, text, stream: LogStream.LOG });
}
