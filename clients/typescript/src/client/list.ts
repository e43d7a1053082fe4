// Lists jobs, page by page.

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";

import { type JobState, writeState } from "../data/outcome.js";
import { InvalidRequest } from "../errors.js";
import type { JobState as WireState } from "../gen/jobstream/v1/job_pb.js";
import { type ListJobsRequest, ListJobsRequestSchema } from "../gen/jobstream/v1/job_service_pb.js";
import type { Calls } from "./calls.js";
import { type JobView, readJob } from "./view.js";

/** Number of jobs fetched in one call. */
const PAGE_SIZE = 200;

/** Selects the jobs that match every field. */
export interface JobFilter {
  /** In this state, or in one of these. Default: any. */
  readonly states?: JobState | readonly JobState[] | undefined;
  readonly kind?: string | undefined;
  readonly queue?: string | undefined;
  /** With all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Accepted at or after this time. */
  readonly createdFrom?: Date | undefined;
  /** Accepted before this time. */
  readonly createdBefore?: Date | undefined;
}

/** Yields the matching jobs, newest first. */
export async function* listJobs(
  calls: Calls,
  filter: JobFilter,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobView, void, undefined> {
  let request = firstPage(filter);
  while (request !== undefined) {
    const sent: ListJobsRequest = request;
    const page = await calls.call(({ jobs }, given) => jobs.listJobs(sent, given), signal);
    for (const job of page.jobs) {
      yield readJob(job);
    }
    request = page.nextPageToken === "" ? undefined : { ...sent, pageToken: page.nextPageToken };
  }
}

/** The request of the first page; undefined if no job can match. */
function firstPage(filter: JobFilter): ListJobsRequest | undefined {
  const { states, kind, queue, labels, createdFrom, createdBefore } = filter;
  const written = writeStates(states);
  if (written === undefined) {
    return undefined;
  }
  return create(ListJobsRequestSchema, {
    states: written,
    kind: kind ?? "",
    queue: queue ?? "",
    labels: { ...labels },
    pageSize: PAGE_SIZE,
    ...(createdFrom && { createTimeFrom: timestamp("created_from", createdFrom) }),
    ...(createdBefore && { createTimeBefore: timestamp("created_before", createdBefore) }),
  });
}

/** Encodes the states of a filter; undefined if no state matches it. @throws InvalidRequest if one is unknown. */
export function writeStates(states: JobFilter["states"]): WireState[] | undefined {
  const listed = typeof states === "string" ? [states] : states;
  return listed?.length === 0 ? undefined : (listed ?? []).map(writeState);
}

function timestamp(field: string, date: Date) {
  if (Number.isNaN(date.getTime())) {
    throw InvalidRequest.of(field, "is an invalid date");
  }
  return timestampFromDate(date);
}
