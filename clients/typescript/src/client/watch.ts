// Watches the events of a job until it ends. Resumes after the last received sequence when a stream breaks or is idle.

import type { CallOptions } from "@connectrpc/connect";

import { isFinal } from "../data/outcome.js";
import { durationOf } from "../data/span.js";
import { InvalidRequest } from "../errors.js";
import type { Outcome as WireOutcome } from "../gen/jobstream/v1/job_pb.js";
import type { EventType, RunResponse, WatchResultResponse } from "../gen/jobstream/v1/job_service_pb.js";
import { type Boot, detectRestart } from "./boot_cache.js";
import type { Calls } from "./calls.js";
import { type JobEvent, readEvent, readGap } from "./events.js";
import { span } from "./options.js";
import type { Scope } from "./scope.js";
import { Streams } from "./streams.js";
import type { Stubs } from "./stubs.js";

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

/** A watch. It outlives its streams. */
export class Watcher extends Streams<Message> {
  /** The outcome of the job, once its final event was received. */
  outcome: WireOutcome | undefined;
  #isOver = false;

  constructor(
    calls: Calls,
    readonly jobId: string,
    protected boot: Boot | undefined,
    heartbeat: number,
    scope: Scope,
    /** Event types to request; empty for all. */
    readonly types: EventType[],
    /** The last received sequence. */
    private last: number,
  ) {
    super(calls, heartbeat, scope);
  }

  /** The next event; undefined after the final event. */
  async next(): Promise<JobEvent | undefined> {
    while (!this.#isOver) {
      const event = this.#advance(await this.message());
      if (event !== undefined) {
        return event;
      }
    }
    await this.close();
    return undefined;
  }

  protected open({ jobs }: Stubs, options: CallOptions): AsyncIterable<Message> {
    const { jobId, types } = this;
    const heartbeat = durationOf("heartbeat", this.heartbeat);
    return jobs.watchResult({ jobId, afterSequence: this.last, types, heartbeat }, options);
  }

  protected override explain(error: unknown): unknown {
    return detectRestart(error, this.boot);
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
