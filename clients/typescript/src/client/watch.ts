// Watches the events of a job until it ends. Resumes after the last received sequence when a stream breaks or is idle.

import type { CallOptions } from "@connectrpc/connect";

import { isFinal } from "../data/outcome.js";
import { durationOf } from "../data/span.js";
import { InvalidRequest } from "../errors.js";
import type { Outcome as WireOutcome } from "../gen/jobstream/v1/job_pb.js";
import type { EventType, RunResponse, WatchResultResponse } from "../gen/jobstream/v1/job_service_pb.js";
import { ReconnectBackoff } from "./backoff.js";
import { type Boot, detectRestart } from "./boot_cache.js";
import type { Calls } from "./calls.js";
import { type JobEvent, readEvent, readGap } from "./events.js";
import { span } from "./options.js";
import { type Scope, pause } from "./scope.js";
import { timedOut, unreachable } from "./status.js";
import { type Stubs, stubsOf } from "./stubs.js";
import type { Link } from "./connection.js";

/** Number of missed heartbeats after which a stream is closed. */
const HEARTBEATS_MISSED_MAX = 3;
/** Longest time in milliseconds for a stream to close after the final event. */
const CLOSE_TIMEOUT = 1_000;

export interface WatchOptions {
  /** The watch starts after this sequence. Default 0: from the start. */
  readonly afterSequence?: number | undefined;
  /**
   * Heartbeat interval of the server, 1 000 to 3 600 000 milliseconds. After three missed heartbeats the watch resumes
   * on another connection. Default 15 000.
   */
  readonly heartbeat?: number | undefined;
  /** Ends the watch. It rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Yields every event of the job once, in order. */
export async function* watchJob(
  calls: Calls,
  jobId: string,
  boot: Boot | undefined,
  options: WatchOptions,
): AsyncGenerator<JobEvent, void, undefined> {
  const after = options.afterSequence ?? 0;
  if (!Number.isInteger(after) || after < 0 || after >= 2 ** 32) {
    throw InvalidRequest.of("after_sequence", `is ${after}: must be the sequence of an event, or 0`);
  }
  const heartbeat = span("heartbeat", options.heartbeat, 15_000);
  const scope = calls.scope(options.signal);
  const watcher = new Watcher(calls, jobId, boot, heartbeat, scope, [], after);
  try {
    for (let event = await watcher.next(); event !== undefined; event = await watcher.next()) {
      yield event;
    }
  } finally {
    watcher.drop();
    scope.close();
  }
}

type Message = WatchResultResponse | RunResponse;

/** Opens a stream of messages. */
export type Open = (stubs: Stubs, options: CallOptions) => AsyncIterable<Message>;

/** One stream of messages. It is cancelled when it is idle for too long. */
class Stream {
  readonly #scope: Scope;
  readonly #messages: AsyncIterator<Message>;
  #idleTimeout: number;
  #hasTimedOut = false;

  constructor(
    readonly calls: Calls,
    readonly link: Link,
    open: Open,
    heartbeat: number,
    /** Longest time in milliseconds to open the stream. A gRPC deadline would limit the whole stream. */
    openTimeout: number,
    whole: Scope,
  ) {
    this.#scope = calls.scope(whole.signal);
    this.#idleTimeout = openTimeout;
    const onHeader = () => {
      this.#idleTimeout = HEARTBEATS_MISSED_MAX * heartbeat;
      this.#restartTimer();
    };
    const response = open(stubsOf(link.transport), { signal: this.#scope.signal, onHeader, timeoutMs: 0 });
    this.#messages = response[Symbol.asyncIterator]();
  }

  /** The next message; undefined at the end of the stream. */
  async next(): Promise<Message | undefined> {
    this.#restartTimer();
    try {
      const next = await this.#messages.next();
      return next.done === true ? undefined : next.value;
    } catch (thrown) {
      if (this.#hasTimedOut) {
        this.link.replace();
      }
      this.#scope.signal.throwIfAborted();
      throw this.calls.readError(thrown);
    } finally {
      this.#scope.clearTimer();
    }
  }

  /** Waits for the server to close the stream, because a cancel would reset it. */
  async close(): Promise<void> {
    this.#idleTimeout = CLOSE_TIMEOUT;
    // Errors are ignored: the outcome is known.
    await this.next().catch(() => undefined);
    this.drop();
  }

  drop(): void {
    this.#scope.abort(undefined);
    this.#scope.close();
    this.link.release();
  }

  #restartTimer(): void {
    this.#scope.abortAfter(this.#idleTimeout, () => {
      this.#hasTimedOut = true;
      return timedOut(this.calls.connection.address);
    });
  }
}

/** A watch. It outlives its streams. */
export class Watcher {
  /** The outcome of the job, once its final event was received. */
  outcome: WireOutcome | undefined;
  readonly #reconnect: ReconnectBackoff;
  #stream: Stream | undefined;
  #isOver = false;

  constructor(
    readonly calls: Calls,
    readonly jobId: string,
    protected boot: Boot | undefined,
    readonly heartbeat: number,
    readonly scope: Scope,
    /** Event types to request; empty for all. */
    readonly types: EventType[],
    /** The last received sequence. */
    private last: number,
  ) {
    this.#reconnect = new ReconnectBackoff(calls.settings.tries, calls.settings.patience);
  }

  /** The next event; undefined after the final event. */
  async next(): Promise<JobEvent | undefined> {
    while (!this.#isOver) {
      this.scope.signal.throwIfAborted();
      try {
        const event = this.#advance(await this.#message());
        if (event !== undefined) {
          return event;
        }
      } catch (error) {
        this.drop();
        this.scope.signal.throwIfAborted();
        await pause(this.retryDelay(detectRestart(error, this.boot)), this.scope.signal);
      }
    }
    await this.#stream?.close();
    this.#stream = undefined;
    return undefined;
  }

  /** Closes the current stream, if there is one. */
  drop(): void {
    this.#stream?.drop();
    this.#stream = undefined;
  }

  /** Opens a stream. */
  protected open({ jobs }: Stubs, options: CallOptions): AsyncIterable<Message> {
    const { jobId, types } = this;
    const heartbeat = durationOf("heartbeat", this.heartbeat);
    return jobs.watchResult({ jobId, afterSequence: this.last, types, heartbeat }, options);
  }

  /** Longest time in milliseconds to open a stream. */
  protected openTimeout(): number {
    return this.calls.settings.callTimeout;
  }

  /** The delay before the next stream. @throws the error if it is not transient or a limit is reached. */
  protected retryDelay(error: unknown): number {
    return this.#reconnect.nextDelay(error);
  }

  /** Called for each message. */
  protected received(): void {
    this.#reconnect.reset();
  }

  async #message(): Promise<Message> {
    const message = await (this.#stream ??= this.#begin()).next();
    if (message === undefined) {
      // The server closes a stream without an error only after the final event. A proxy closed this one.
      throw unreachable(this.calls.connection.address, "the stream ended before the job ended");
    }
    this.received();
    return message;
  }

  #begin(): Stream {
    const open: Open = (stubs, options) => this.open(stubs, options);
    const link = this.calls.connection.forLongCall();
    return new Stream(this.calls, link, open, this.heartbeat, this.openTimeout(), this.scope);
  }

  /** Advances past a message. Returns its event or gap, unless it has none or was delivered before. */
  #advance({ message }: Message): JobEvent | undefined {
    if (message.case === "gap" && message.value.last > this.last) {
      const gap = readGap(message.value, this.last);
      this.last = gap.last;
      return gap;
    }
    if (message.case !== "event" || message.value.sequence <= this.last) {
      return undefined;
    }
    const event = readEvent(message.value);
    this.last = message.value.sequence;
    this.#isOver = event?.type === "state" && isFinal(event.state);
    if (this.#isOver && message.value.event.case === "stateChange") {
      this.outcome = message.value.event.value.outcome;
    }
    return event;
  }
}
