// Converts the fields of jobs and queues.

import type { Client, JobFilter, JobRequest, JobView, QueueView } from "jobstream";

import { valueOf } from "./payloads.js";
import { type Fields, type WirePayload, renamed } from "./protocol.js";

const SUBMIT = {
  job_id: "jobId",
  queue: "queue",
  priority: "priority",
  delay: "delay",
  timeout: "timeout",
  attempt_timeout: "attemptTimeout",
  max_attempts: "maxAttempts",
  retention: "retention",
  labels: "labels",
  headers: "headers",
  trace_context: "traceContext",
};

/** Converts the fields of a submit. */
export function requestOf(fields: Fields): JobRequest {
  const { initial_backoff: initialBackoff } = fields as { initial_backoff?: number };
  return {
    kind: fields["kind"] as string,
    input: valueOf(fields["payload"] as WirePayload),
    ...renamed(fields, SUBMIT),
    ...(initialBackoff !== undefined && { retry: { initialBackoff } }),
  };
}

/** The newest jobs that match the fields of a `list`. */
export async function listed(client: Client, fields: Fields) {
  const filter: JobFilter = renamed(fields, { state: "states", kind: "kind", queue: "queue", labels: "labels" });
  const limit = (fields["limit"] as number | undefined) ?? Infinity;
  const jobs: Record<string, unknown>[] = [];
  for await (const job of client.list(filter)) {
    jobs.push(jobFields(job));
    if (jobs.length >= limit) {
      break;
    }
  }
  return { jobs };
}

function jobFields({ id, kind, queue, state }: JobView) {
  return { job_id: id, kind, queue, state };
}

export function queueFields({ name, scheduled, queued, running, paused }: QueueView) {
  return { name, waiting: scheduled + queued, running, paused };
}
