// Follows the state changes of all jobs. Resumes after the last cursor when a stream breaks or is idle.

import type { CallOptions } from "@connectrpc/connect";

import type { JobState } from "../data/outcome.js";
import { durationOf } from "../data/span.js";
import type {
  JobChange as WireChange,
  WatchJobsRequest,
  WatchJobsResponse,
} from "../gen/jobstream/v1/job_service_pb.js";
import type { Calls } from "./calls.js";
import { type StateEvent, readEvent } from "./events.js";
import { writeStates } from "./list.js";
import { span } from "./options.js";
import type { Scope } from "./scope.js";
import { Streams } from "./streams.js";
import type { Stubs } from "./stubs.js";

/** Selects the changes that match every field. */
export interface ChangeFilter {
  /** To this state, or to one of these. Default: any. */
  readonly states?: JobState | readonly JobState[] | undefined;
  /** Of jobs of this kind. */
  readonly kind?: string | undefined;
  /** Of jobs of this queue. */
  readonly queue?: string | undefined;
  /** Of jobs with all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

export interface FeedOptions {
  /** The feed continues after this cursor of an earlier one. Default: it begins with the changes from now on. */
  readonly afterCursor?: string | undefined;
  /**
   * Heartbeat interval of the server, 1 000 to 3 600 000 milliseconds. After three missed heartbeats the feed resumes on
   * another connection. Default 15 000.
   */
  readonly heartbeat?: number | undefined;
  /** Ends the feed. It rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** An item of a feed. `type` selects the variant. */
export type FeedItem = JobChange | FeedGap;

/** A job changed its state. */
export interface JobChange {
  readonly type: "change";
  readonly jobId: string;
  readonly queue: string;
  readonly kind: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Name of the principal that submitted the job; undefined if its caller was anonymous. */
  readonly owner: string | undefined;
  /** The change. It has no content of a result and no failure details: `Client.get` and `Job.result` return them. */
  readonly event: StateEvent;
}

/** Changes that the server does not retain. */
export interface FeedGap {
  readonly type: "gap";
  /** Number of changes of all jobs, before the filter; 0 if it is not known. */
  readonly missed: number;
}

/**
 * The state changes of all jobs that match a filter, in order, each once. The first call of [next] opens the stream. It does
 * not end by itself: leave the loop, or abort its signal.
 */
export class Feed implements AsyncIterableIterator<FeedItem, void, undefined> {
  readonly #items: AsyncGenerator<FeedItem, void, undefined>;
  #cursor: string;

  /** @internal */
  constructor(calls: Calls, filter: ChangeFilter, options: FeedOptions) {
    const { afterCursor = "", heartbeat, signal } = options;
    this.#cursor = afterCursor;
    this.#items = this.#follow(calls, requestOf(filter), span("heartbeat", heartbeat, 15_000), signal);
  }

  /** The cursor after the last message. Another feed can resume after it. Empty before the first message. */
  get cursor(): string {
    return this.#cursor;
  }

  next(): Promise<IteratorResult<FeedItem, void>> {
    return this.#items.next();
  }

  return(): Promise<IteratorResult<FeedItem, void>> {
    return this.#items.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async *#follow(
    calls: Calls,
    request: Filter | undefined,
    heartbeat: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<FeedItem, void, undefined> {
    if (request === undefined) {
      return;
    }
    const scope = calls.scope(signal);
    const follower = new Follower(calls, request, heartbeat, scope, this.#cursor);
    try {
      for (;;) {
        const message = await follower.next();
        this.#cursor = message.cursor;
        const item = readItem(message);
        if (item !== undefined) {
          yield item;
        }
      }
    } finally {
      follower.drop();
      scope.close();
    }
  }
}

/** The fields of a request that select changes. */
type Filter = Pick<WatchJobsRequest, "states" | "kind" | "queue" | "labels">;

/** Reads the messages of all jobs that match a filter. */
class Follower extends Streams<WatchJobsResponse> {
  constructor(
    calls: Calls,
    readonly request: Filter,
    heartbeat: number,
    scope: Scope,
    private cursor: string,
  ) {
    super(calls, heartbeat, scope);
  }

  async next(): Promise<WatchJobsResponse> {
    const message = await this.message();
    this.cursor = message.cursor;
    return message;
  }

  protected open({ jobs }: Stubs, options: CallOptions): AsyncIterable<WatchJobsResponse> {
    const heartbeat = durationOf("heartbeat", this.heartbeat);
    return jobs.watchJobs({ ...this.request, afterCursor: this.cursor, heartbeat }, options);
  }
}

/**
 * The filter of the requests; undefined if no change can match.
 *
 * @throws InvalidRequest if a state is unknown.
 */
function requestOf({ states, kind = "", queue = "", labels }: ChangeFilter): Filter | undefined {
  const written = writeStates(states);
  return written && { states: written, kind, queue, labels: { ...labels } };
}

/** Decodes a message. Returns undefined for a heartbeat, and for a type that this client does not know. */
function readItem({ message }: WatchJobsResponse): FeedItem | undefined {
  switch (message.case) {
    case "change":
      return readChange(message.value);
    case "gap":
      return { type: "gap", missed: Number(message.value.missed) };
    case "heartbeat":
    case undefined:
      return undefined;
  }
}

function readChange({ jobId, queue, kind, labels, owner, event: sent }: WireChange): JobChange | undefined {
  const event = sent && readEvent(sent);
  if (event?.type !== "state") {
    return undefined;
  }
  return { type: "change", jobId, queue, kind, labels, owner: owner === "" ? undefined : owner, event };
}
