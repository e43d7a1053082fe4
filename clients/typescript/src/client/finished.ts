// Calls on finished jobs: submit them again, or remove them.

import { newJobId } from "../data/job_id.js";
import { readWaitReason } from "../data/outcome.js";
import { type TraceContext, traceHeaders } from "../data/trace_context.js";
import { JobNotFound, ResultExpired, Unavailable } from "../errors.js";
import type { CallOptions } from "./base.js";
import type { Calls } from "./calls.js";
import { Job } from "./job.js";

/** Options of a retry. */
export interface RetryJobOptions extends CallOptions {
  /** The trace that the new job belongs to. `currentTraceContext` of `jobstream/otel` returns the current one. */
  readonly traceContext?: TraceContext | undefined;
}

/** Submits a finished job again as a new job. The id of the new job is generated once for all tries. */
export async function retryJob<Out>(
  calls: Calls,
  jobId: string,
  { signal, traceContext }: RetryJobOptions,
): Promise<Job<Out>> {
  const headers = traceHeaders(traceContext);
  const request = { jobId, newJobId: newJobId() };
  calls.boots.current();
  const response = await calls.call(({ jobs }, given) => jobs.retry(request, { ...given, headers }), signal);
  return new Job<Out>(calls, response.jobId, calls.boots.current(), readWaitReason(response.waitReason));
}

/** Removes a finished job. If the response of a try was lost, a later try that finds no job is a success. */
export async function deleteJob(calls: Calls, jobId: string, signal: AbortSignal | undefined): Promise<void> {
  let isResponseLost = false;
  await calls.call(async ({ jobs }, given) => {
    try {
      await jobs.delete({ jobId }, given);
    } catch (thrown) {
      const error = calls.readError(thrown);
      const isRemoved = error instanceof JobNotFound || error instanceof ResultExpired;
      if (!isResponseLost || !isRemoved) {
        isResponseLost ||= error instanceof Unavailable && error.reason === "";
        throw thrown;
      }
    }
  }, signal);
}
