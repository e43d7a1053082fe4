// Follows a job's events to its end, across cut and silent streams: it resumes after the last sequence it saw.

import { type CallOptions, createClient } from "@connectrpc/connect";

import { isFinal } from "../data/outcome.js";
import { durationOf } from "../data/span.js";
import { InvalidRequest } from "../errors.js";
import type { Outcome as WireOutcome } from "../gen/jobstream/v1/job_pb.js";
import {
  type EventType,
  JobService,
  type RunResponse,
  type WatchResultResponse,
} from "../gen/jobstream/v1/job_service_pb.js";
import { Endurance } from "./backoff.js";
import { type Boot, explain } from "./boots.js";
import type { Calls, JobStub } from "./calls.js";
import { type JobEvent, readEvent, readGap } from "./events.js";
import { span } from "./options.js";
import { type Scope, pause } from "./scope.js";
import { timedOut, unreachable } from "./status.js";
import type { Link } from "./connection.js";

/** A stream that is silent for this many heartbeats is given up. */
const HEARTBEATS_MISSED_MAX = 3;
/** How long the stream may take to close after the event that ends the job; after it, it is dropped. */
const CLOSE_TIMEOUT = 1_000;

export interface WatchOptions {
  /** Only events with a larger sequence. Default 0: from the start. */
  readonly afterSequence?: number | undefined;
  /**
   * The server says that it is there after each silence of this length, 1 000 to 3 600 000 milliseconds. A stream that
   * is silent for three of them is given up and opened anew. Default 15 000.
   */
  readonly heartbeat?: number | undefined;
  /** Ends the watch, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Every event of the job once, in order. */
export async function* watchJob(
  calls: Calls,
  jobId: string,
  boot: Boot | undefined,
  options: WatchOptions,
): AsyncGenerator<JobEvent, void, undefined> {
  const after = options.afterSequence ?? 0;
  if (!Number.isInteger(after) || after < 0 || after >= 2 ** 32) {
    throw InvalidRequest.of("after_sequence", `is ${after}: give the sequence of an event, or 0 for all`);
  }
  const heartbeat = span("heartbeat", options.heartbeat, 15_000);
  const scope = calls.scope(options.signal);
  const follower = new Follower(calls, jobId, boot, heartbeat, scope, [], after);
  try {
    for (let event = await follower.next(); event !== undefined; event = await follower.next()) {
      yield event;
    }
  } finally {
    follower.drop();
    scope.close();
  }
}

type Message = WatchResultResponse | RunResponse;

/** Opens a stream of messages. */
export type Open = (jobs: JobStub, options: CallOptions) => AsyncIterable<Message>;

/** One stream of messages, that ends by itself when it is silent. */
class Stream {
  readonly #scope: Scope;
  readonly #messages: AsyncIterator<Message>;
  #silenceMax: number;
  #isSilent = false;

  constructor(
    readonly calls: Calls,
    readonly link: Link,
    open: Open,
    heartbeat: number,
    /** Milliseconds that it may take to open: a deadline would be that of the stream's whole life. */
    openingMax: number,
    whole: Scope,
  ) {
    this.#scope = calls.scope(whole.signal);
    this.#silenceMax = openingMax;
    const onHeader = () => {
      this.#silenceMax = HEARTBEATS_MISSED_MAX * heartbeat;
      this.#expectWord();
    };
    const jobs = createClient(JobService, link.transport);
    const answer = open(jobs, { signal: this.#scope.signal, onHeader, timeoutMs: 0 });
    this.#messages = answer[Symbol.asyncIterator]();
  }

  /** The next message; undefined once the stream ended. */
  async next(): Promise<Message | undefined> {
    this.#expectWord();
    try {
      const next = await this.#messages.next();
      return next.done === true ? undefined : next.value;
    } catch (thrown) {
      if (this.#isSilent) {
        this.link.giveUp();
      }
      this.#scope.signal.throwIfAborted();
      throw this.calls.readError(thrown);
    } finally {
      this.#scope.endNever();
    }
  }

  /** Lets the stream close by itself: dropping it before would reset it. */
  async close(): Promise<void> {
    this.#silenceMax = CLOSE_TIMEOUT;
    // Whatever comes, the job's end is known.
    await this.next().catch(() => undefined);
    this.drop();
  }

  drop(): void {
    this.#scope.abort(undefined);
    this.#scope.close();
    this.link.release();
  }

  #expectWord(): void {
    this.#scope.endIn(this.#silenceMax, () => {
      this.#isSilent = true;
      return timedOut(this.calls.connection.address);
    });
  }
}

/** A watch that survives its streams. */
export class Follower {
  /** How the job ended, once that was seen. */
  outcome: WireOutcome | undefined;
  readonly #endurance: Endurance;
  #stream: Stream | undefined;
  #isOver = false;

  constructor(
    readonly calls: Calls,
    readonly jobId: string,
    protected boot: Boot | undefined,
    readonly heartbeat: number,
    readonly scope: Scope,
    /** Events to ask for; none is all. */
    readonly types: EventType[],
    /** Sequence after which the next stream begins. */
    private last: number,
  ) {
    this.#endurance = new Endurance(calls.settings.tries, calls.settings.patience);
  }

  /** The next event; undefined after the one that ends the job. */
  async next(): Promise<JobEvent | undefined> {
    while (!this.#isOver) {
      this.scope.signal.throwIfAborted();
      try {
        const event = this.#unseen(await this.#message());
        if (event !== undefined) {
          return event;
        }
      } catch (error) {
        this.drop();
        this.scope.signal.throwIfAborted();
        await pause(this.bear(explain(error, this.boot)), this.scope.signal);
      }
    }
    await this.#stream?.close();
    this.#stream = undefined;
    return undefined;
  }

  /** Ends the stream at hand, if there is one. */
  drop(): void {
    this.#stream?.drop();
    this.#stream = undefined;
  }

  /** Opens a stream. */
  protected open(jobs: JobStub, options: CallOptions): AsyncIterable<Message> {
    const { jobId, types } = this;
    const heartbeat = durationOf("heartbeat", this.heartbeat);
    return jobs.watchResult({ jobId, afterSequence: this.last, types, heartbeat }, options);
  }

  /** Milliseconds that a stream may take to open. */
  protected openingMax(): number {
    return this.calls.settings.callTimeout;
  }

  /** The pause before the next stream. @throws the same error if that does not help, or has not for too long. */
  protected bear(error: unknown): number {
    return this.#endurance.bear(error);
  }

  /** A message came. */
  protected heard(): void {
    this.#endurance.renew();
  }

  async #message(): Promise<Message> {
    const message = await (this.#stream ??= this.#begin()).next();
    if (message === undefined) {
      // The server ends a stream well only after the event that ends the job: something between us did it.
      throw unreachable(this.calls.connection.address, "the stream ended before the job");
    }
    this.heard();
    return message;
  }

  #begin(): Stream {
    const open: Open = (jobs, options) => this.open(jobs, options);
    const link = this.calls.connection.forHeldCall();
    return new Stream(this.calls, link, open, this.heartbeat, this.openingMax(), this.scope);
  }

  /** What a message tells that was not told before. */
  #unseen({ message }: Message): JobEvent | undefined {
    if (message.case === "gap" && message.value.to > this.last) {
      const gap = readGap(message.value, this.last);
      this.last = gap.to;
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
