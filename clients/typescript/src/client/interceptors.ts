// Interceptors around the submit of a job.

import type { WaitReason } from "../data/outcome.js";
import { Payload } from "../data/payload.js";
import { type TraceContext, readTraceContext, writeTraceContext } from "../data/trace_context.js";
import type { JobSpec } from "../gen/jobstream/v1/job_pb.js";

/** A job as its interceptors see it. An interceptor changes it by passing a changed copy to `next`. */
export interface OutgoingJob {
  /** The id of the job. Changes of it are ignored. */
  readonly jobId: string;
  readonly kind: string;
  readonly queue: string;
  readonly payload: Payload;
  readonly labels: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly traceContext: TraceContext | undefined;
}

/** An accepted job. */
export interface Submitted {
  readonly jobId: string;
  /** Why the job waits. Undefined if it does not wait, in a batch and in a run. */
  readonly waitReason: WaitReason | undefined;
}

/**
 * Is called around the submit of each job, also of those of a batch and of a run. It passes the job to `next`, changed or
 * not, and returns what `next` returns. An error refuses the job.
 *
 * `next` sends the job, with the retries of a call. It resolves once the server has accepted it. In a batch the jobs are
 * sent after the interceptors of all jobs have run, so there it resolves before.
 */
export type SubmitInterceptor = (
  job: OutgoingJob,
  next: (job: OutgoingJob) => Promise<Submitted>,
) => Promise<Submitted>;

/** Sends a job through the interceptors. The first is the outermost. */
export function intercept(
  interceptors: readonly SubmitInterceptor[],
  spec: JobSpec,
  send: (spec: JobSpec) => Promise<Submitted>,
): Promise<Submitted> {
  if (interceptors.length === 0) {
    return send(spec);
  }
  const last = async (job: OutgoingJob) => send(changed(spec, job));
  const chain = interceptors.reduceRight<typeof last>(
    (next, interceptor) => async (job) => interceptor(job, next),
    last,
  );
  return chain({
    jobId: spec.jobId,
    kind: spec.kind,
    queue: spec.queue || "default",
    payload: Payload.read(spec.payload),
    labels: spec.labels,
    headers: spec.headers,
    traceContext: readTraceContext(spec.traceContext),
  });
}

function changed(spec: JobSpec, { kind, queue, payload, labels, headers, traceContext }: OutgoingJob): JobSpec {
  return {
    ...spec,
    kind,
    queue,
    payload: payload.write(),
    labels: { ...labels },
    headers: { ...headers },
    ...(traceContext && { traceContext: writeTraceContext(traceContext) }),
  };
}
