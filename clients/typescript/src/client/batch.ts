// Submits many jobs in few calls.

import { toBinary } from "@bufbuild/protobuf";

import { readWaitReason, unreadable } from "../data/outcome.js";
import { JobstreamError } from "../errors.js";
import { type JobSpec, JobSpecSchema } from "../gen/jobstream/v1/job_pb.js";
import type { Calls } from "./calls.js";
import { type SubmitInterceptor, intercept } from "./interceptors.js";
import { Job } from "./job.js";
import { readStatus } from "./status.js";
import { type SubmitOptions, jobSpec } from "./submit.js";

/** Most jobs in one call, the limit of the server. */
const CALL_JOBS_MAX = 1_000;
/** Bytes of jobs after which a call is sent. With one more job of the largest size it is below the server's 4 MiB. */
const CALL_BYTES_FULL = 2 * 1024 * 1024;

/** A job of a batch. */
export interface JobRequest extends Omit<SubmitOptions, "signal"> {
  readonly kind: string;
  readonly input?: unknown;
}

/** The result for one job of a batch: its handle, or the error with which it was refused. */
export type SubmitResult<Out = unknown> =
  { readonly job: Job<Out>; readonly error?: undefined } | { readonly job?: undefined; readonly error: JobstreamError };

/** Submits the jobs, one call after the other. The results are in the order of the requests. */
export async function submitAll<Out>(
  calls: Calls,
  interceptors: readonly SubmitInterceptor[],
  requests: Iterable<JobRequest>,
  signal: AbortSignal | undefined,
): Promise<SubmitResult<Out>[]> {
  const prepared = await Promise.all(Array.from(requests, (request) => prepare<Out>(calls, interceptors, request)));
  const results = new Map<JobSpec, SubmitResult<Out>>();
  let failure = unreadable("the results of a batch");
  try {
    for (const batch of batches(prepared.filter(isSpec))) {
      await submitBatch(calls, batch, results, signal);
    }
  } catch (error) {
    if (!(error instanceof JobstreamError)) {
      throw error;
    }
    failure = error;
  }
  return prepared.map((job) => (isSpec(job) ? (results.get(job) ?? { error: failure }) : job));
}

/** The job as the interceptors have changed it; or its result if it is not to be sent. */
async function prepare<Out>(
  calls: Calls,
  interceptors: readonly SubmitInterceptor[],
  { kind, input, ...options }: JobRequest,
): Promise<JobSpec | SubmitResult<Out>> {
  let spec: JobSpec | undefined;
  try {
    const { jobId } = await intercept(interceptors, jobSpec(kind, input, options), (job) => {
      spec = job;
      return Promise.resolve({ jobId: job.jobId, waitReason: undefined });
    });
    return spec ?? { job: new Job<Out>(calls, jobId) };
  } catch (error) {
    if (error instanceof JobstreamError) {
      return { error };
    }
    throw error;
  }
}

function isSpec(job: JobSpec | SubmitResult): job is JobSpec {
  return "$typeName" in job;
}

/** Splits jobs into calls. */
function* batches(specs: readonly JobSpec[]): Generator<JobSpec[], void, undefined> {
  let batch: JobSpec[] = [];
  let bytes = 0;
  for (const spec of specs) {
    batch.push(spec);
    bytes += toBinary(JobSpecSchema, spec).length;
    if (batch.length === CALL_JOBS_MAX || bytes >= CALL_BYTES_FULL) {
      yield batch;
      batch = [];
      bytes = 0;
    }
  }
  if (batch.length > 0) {
    yield batch;
  }
}

/** Submits as many jobs as one call takes. */
async function submitBatch<Out>(
  calls: Calls,
  specs: readonly JobSpec[],
  into: Map<JobSpec, SubmitResult<Out>>,
  signal: AbortSignal | undefined,
): Promise<void> {
  calls.boots.current();
  const request = { jobs: [...specs] };
  const { results } = await calls.call(({ jobs }, given) => jobs.batchSubmit(request, given), signal);
  const boot = calls.boots.current();
  for (const [index, spec] of specs.entries()) {
    const result = results[index]?.result;
    if (result?.case === "submitted") {
      const { jobId, waitReason } = result.value;
      into.set(spec, { job: new Job<Out>(calls, jobId, boot, readWaitReason(waitReason)) });
    } else if (result?.case === "error") {
      into.set(spec, { error: readStatus(result.value, calls.connection.address) });
    }
  }
}
