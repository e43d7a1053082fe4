// The common base of the Node and the browser client.

import { checkedJobId } from "../data/job_id.js";
import { readWaitReason } from "../data/outcome.js";
import type { Payload } from "../data/payload.js";
import { type JobRequest, type SubmitResult, submitAll } from "./batch.js";
import { Calls } from "./calls.js";
import type { Connection } from "./connection.js";
import { type ChangeFilter, Feed, type FeedOptions } from "./feed.js";
import { type RetryJobOptions, deleteJob, retryJob } from "./finished.js";
import { type SubmitInterceptor, intercept } from "./interceptors.js";
import { Job, readResult } from "./job.js";
import { type JobFilter, listJobs } from "./list.js";
import { type ClientOptions, readOptions } from "./options.js";
import { type QueueView, listQueues, readQueue } from "./queues.js";
import { type RunJobOptions, runJob } from "./run.js";
import { type Stubs, stubsOf } from "./stubs.js";
import { type SubmitOptions, jobSpec } from "./submit.js";
import { type JobView, readJob } from "./view.js";

/** Options of a call. */
export interface CallOptions {
  /** Aborts the call. The server may or may not have executed it. */
  readonly signal?: AbortSignal | undefined;
}

/** A client of one server. It connects at the first call. */
export abstract class BaseClient {
  readonly #calls: Calls;
  readonly #interceptors: readonly SubmitInterceptor[];

  protected constructor(connection: Connection, options: ClientOptions) {
    this.#calls = new Calls(connection, readOptions(options));
    this.#interceptors = [...(options.submitInterceptors ?? [])];
  }

  /** The address of the server. */
  get address(): string {
    return this.#calls.connection.address;
  }

  /** The generated stubs on the connection of this client. */
  get stubs(): Stubs {
    return stubsOf(this.#calls.connection.transport);
  }

  /**
   * Submits a job. The input is sent as JSON, a `Uint8Array` as data, a `Payload` unchanged. The server has accepted
   * the job when the promise resolves.
   *
   * The job id is generated once, so a retry never creates a second job. The result can be read while the server
   * retains the job: use [run] if the retention may be shorter than the time until [Job.result].
   *
   * @throws InvalidRequest, JobIdReused and ResourceExhausted if the server stored nothing; Unavailable and
   * DeadlineExceeded if the job may or may not be accepted: submit again with the same `jobId`.
   */
  async submit<Out = unknown>(kind: string, input?: unknown, options: SubmitOptions = {}): Promise<Job<Out>> {
    const calls = this.#calls;
    const submitted = await intercept(this.#interceptors, jobSpec(kind, input, options), async (job) => {
      calls.boots.current();
      const { jobId, waitReason } = await calls.call(({ jobs }, given) => jobs.submit({ job }, given), options.signal);
      return { jobId, waitReason: readWaitReason(waitReason) };
    });
    return new Job<Out>(calls, submitted.jobId, calls.boots.current(), submitted.waitReason);
  }

  /**
   * Submits many jobs, in calls of up to 1 000. Returns a job or an error for each, in order; a refused job does not
   * affect the others. If a call fails, its jobs and the following ones have its error.
   *
   * ```ts
   * for (const { job, error } of await client.submitAll([{ kind: "resize", input: 64 }, { kind: "resize", input: 128 }])) {
   *   console.log(error?.message ?? job?.id);
   * }
   * ```
   */
  submitAll<Out = unknown>(requests: Iterable<JobRequest>, { signal }: CallOptions = {}): Promise<SubmitResult<Out>[]> {
    return submitAll(this.#calls, this.#interceptors, requests, signal);
  }

  /**
   * Submits a job, waits until it ends and returns its result like [Job.result]. Submit and wait are one call, so the
   * result is received even if the retention is 0.
   *
   * The job id is generated once, so a retry never creates a second job. If the connection breaks, the call resumes as
   * a watch. An aborted signal ends the wait and does not cancel the job.
   *
   * @throws the errors of [submit] until the job is accepted, then those of [Job.result]. After Unavailable or
   * DeadlineExceeded from before that point the job may or may not be accepted: run it again with the same `jobId`.
   */
  async run<Out = unknown>(kind: string, input?: unknown, options: RunJobOptions = {}): Promise<Out> {
    const { jobId, payload } = await this.#run(kind, input, options);
    return readResult(jobId, payload) as Out;
  }

  /** Like [run], but returns the undecoded payload with its content type. */
  async runPayload(kind: string, input?: unknown, options: RunJobOptions = {}): Promise<Payload> {
    return (await this.#run(kind, input, options)).payload;
  }

  /**
   * A handle of the job with this id. Does not call the server.
   *
   * @throws InvalidRequest if the id is not a UUID.
   */
  job<Out = unknown>(id: string): Job<Out> {
    return new Job<Out>(this.#calls, checkedJobId("job_id", id));
  }

  /**
   * Reads the job with all its fields.
   *
   * @throws JobNotFound, ResultExpired, Unavailable, DeadlineExceeded; InvalidRequest if the id is not a UUID.
   */
  async get(id: string, { signal }: CallOptions = {}): Promise<JobView> {
    const jobId = checkedJobId("job_id", id);
    const { job } = await this.#calls.call(({ jobs }, given) => jobs.getJob({ jobId }, given), signal);
    return readJob(job);
  }

  /**
   * Lists the jobs that match a filter, newest first, over all pages. Their payloads and results are empty.
   *
   * ```ts
   * for await (const { id, kind } of client.list({ states: "FAILED", labels: { tenant: "a" } })) console.log(id, kind);
   * ```
   *
   * @throws InvalidRequest, Unavailable, DeadlineExceeded.
   */
  list(filter: JobFilter = {}, { signal }: CallOptions = {}): AsyncGenerator<JobView, void, undefined> {
    return listJobs(this.#calls, filter, signal);
  }

  /**
   * Follows the state changes of all jobs that match a filter, in order, each once: from now on, or after the cursor of an
   * earlier feed. Resumes after lost connections. Changes that the server does not retain are one gap: after a restart of
   * the server, and if the reader was too slow or away for too long.
   *
   * ```ts
   * for await (const item of client.watchJobs({ states: ["SUCCEEDED", "FAILED"], queue: "images" })) {
   *   if (item.type === "gap") console.log(`${item.missed} changes are missing`); // 0 if it is not known.
   *   else console.log(item.jobId, item.event.state);
   * }
   * ```
   *
   * @throws InvalidRequest; the feed rejects with Unavailable if the server was unavailable for `patience`.
   */
  watchJobs(filter: ChangeFilter = {}, options: FeedOptions = {}): Feed {
    return new Feed(this.#calls, filter, options);
  }

  /**
   * Submits a finished job again as a new job with a new id. The finished job does not change. The interceptors are not
   * called: the server has the job.
   *
   * @throws JobNotFound, ResultExpired; IllegalState if the job has not ended; otherwise like [submit].
   */
  async retry<Out = unknown>(id: string, options: RetryJobOptions = {}): Promise<Job<Out>> {
    return retryJob(this.#calls, checkedJobId("job_id", id), options);
  }

  /**
   * Removes a finished job and its result.
   *
   * @throws JobNotFound, ResultExpired, Unavailable, DeadlineExceeded; IllegalState if the job has not ended.
   */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    await deleteJob(this.#calls, checkedJobId("job_id", id), signal);
  }

  /** Every queue that has jobs or is paused, ordered by name. */
  queues({ signal }: CallOptions = {}): Promise<QueueView[]> {
    return listQueues(this.#calls, signal);
  }

  /**
   * Starts no further attempts of the jobs of a queue. Running attempts continue, and jobs are still accepted.
   *
   * @throws InvalidRequest if the name is invalid.
   */
  async pauseQueue(name: string, { signal }: CallOptions = {}): Promise<QueueView> {
    const { queue } = await this.#calls.call(({ admin }, given) => admin.pauseQueue({ queue: name }, given), signal);
    return readQueue(queue);
  }

  /**
   * Starts attempts of the jobs of a paused queue again.
   *
   * @throws JobstreamError of reason `QUEUE_NOT_FOUND`.
   */
  async resumeQueue(name: string, { signal }: CallOptions = {}): Promise<QueueView> {
    const { queue } = await this.#calls.call(({ admin }, given) => admin.resumeQueue({ queue: name }, given), signal);
    return readQueue(queue);
  }

  /**
   * Cancels every waiting job of a queue and returns their number. Running jobs continue. The call is sent once: after
   * a lost response a second call would cancel jobs that were submitted later.
   *
   * @throws JobstreamError of reason `QUEUE_NOT_FOUND`; Unavailable and DeadlineExceeded if the jobs may or may not be
   * cancelled.
   */
  async purgeQueue(name: string, { signal }: CallOptions = {}): Promise<number> {
    const send = this.#calls.callOnce(({ admin }, given) => admin.purgeQueue({ queue: name }, given), signal);
    return (await send).purged;
  }

  /**
   * Closes the connections and ends the waits, watches and workers of this client. They reject with a JobstreamError of
   * reason `CLIENT_CLOSED`. Jobs continue. May be called twice.
   */
  close(): void {
    this.#calls.close();
  }

  #run(kind: string, input: unknown, options: RunJobOptions): Promise<{ jobId: string; payload: Payload }> {
    return runJob(this.#calls, this.#interceptors, jobSpec(kind, input, options), options);
  }
}
