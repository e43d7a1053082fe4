// The queues of a server.

import { unreadable } from "../data/outcome.js";
import { spanOf } from "../data/span.js";
import type * as wire from "../gen/jobstream/v1/admin_service_pb.js";
import type { Calls } from "./calls.js";

/** Number of queues fetched in one call, the limit of the server. */
const PAGE_SIZE = 1_000;

/** A queue and the number of its jobs by state. Finished jobs are counted while they are retained. */
export interface QueueView {
  readonly name: string;
  readonly paused: boolean;
  readonly scheduled: number;
  readonly queued: number;
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  /** How long the oldest QUEUED job has been QUEUED, in milliseconds; undefined if there is none. */
  readonly oldestQueuedAge: number | undefined;
  /** Over the last minute. */
  readonly acceptedPerSecond: number;
  /** Over the last minute. */
  readonly finishedPerSecond: number;
  /** Kinds with QUEUED jobs that no worker serves. */
  readonly unservedKinds: readonly string[];
}

/** Reads every queue. */
export async function listQueues(calls: Calls, signal: AbortSignal | undefined): Promise<QueueView[]> {
  const queues: QueueView[] = [];
  let pageToken = "";
  do {
    const request = { pageSize: PAGE_SIZE, pageToken };
    const page = await calls.call(({ admin }, given) => admin.listQueues(request, given), signal);
    queues.push(...page.queues.map(readQueue));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return queues;
}

export function readQueue(queue: wire.Queue | undefined): QueueView {
  if (queue?.counts === undefined) {
    throw unreadable("a queue");
  }
  const { scheduled, queued, running, succeeded, failed, cancelled } = queue.counts;
  return {
    name: queue.queue,
    paused: queue.paused,
    scheduled,
    queued,
    running,
    succeeded,
    failed,
    cancelled,
    oldestQueuedAge: queue.oldestQueuedAge && spanOf(queue.oldestQueuedAge),
    acceptedPerSecond: queue.acceptedPerSecond,
    finishedPerSecond: queue.finishedPerSecond,
    unservedKinds: queue.unservedKinds,
  };
}
