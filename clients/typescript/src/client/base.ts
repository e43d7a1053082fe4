// What the clients of Node and of browsers have in common.

import { type Client as Stub, createClient } from "@connectrpc/connect";

import type { Payload } from "../data/payload.js";
import { AdminService } from "../gen/jobstream/v1/admin_service_pb.js";
import { JobService } from "../gen/jobstream/v1/job_service_pb.js";
import { WorkerService } from "../gen/jobstream/v1/worker_service_pb.js";
import { Calls } from "./calls.js";
import type { Connection } from "./connection.js";
import { Job, readResult, resultOf } from "./job.js";
import { type ClientOptions, readOptions } from "./options.js";
import { type RunJobOptions, runToEnd } from "./run.js";
import { type SubmitOptions, jobSpec } from "./submit.js";
import { type JobView, readJob } from "./view.js";

/** The generated stubs. Their errors are those of @connectrpc/connect, and nothing is tried again. */
export interface Stubs {
  readonly jobs: Stub<typeof JobService>;
  readonly admin: Stub<typeof AdminService>;
  readonly workers: Stub<typeof WorkerService>;
}

/** Submits jobs and finds them again. It connects with its first call. */
export abstract class BaseClient {
  readonly #calls: Calls;

  protected constructor(connection: Connection, options: ClientOptions) {
    this.#calls = new Calls(connection, readOptions(options));
  }

  /** The address of the server, as it is in messages. */
  get address(): string {
    return this.#calls.connection.address;
  }

  /** The generated stubs, over the same connection. */
  get stubs(): Stubs {
    const { transport } = this.#calls.connection;
    return {
      jobs: createClient(JobService, transport),
      admin: createClient(AdminService, transport),
      workers: createClient(WorkerService, transport),
    };
  }

  /**
   * Submits a job. The input is sent as JSON, a `Uint8Array` as data, a `Payload` as it is. Once this answers, the job
   * is kept as durably as the server promises.
   *
   * The job's id is minted before the first try: however often it is tried, there is one job. Its result can be had while
   * it is retained: use [run] where that may be shorter than the way to [Job.result].
   *
   * @throws InvalidRequest, JobIdReused and ResourceExhausted mean that nothing was kept; Unavailable and
   *   DeadlineExceeded that it may have been: submit again with the same `jobId`.
   */
  async submit<Out = unknown>(kind: string, input?: unknown, options: SubmitOptions = {}): Promise<Job<Out>> {
    const calls = this.#calls;
    const job = jobSpec(kind, input, options);
    calls.boots.present();
    const { jobId } = await calls.call((jobs, given) => jobs.submit({ job }, given), options.signal);
    return new Job<Out>(calls, jobId, calls.boots.present());
  }

  /**
   * Submits a job, waits for its end and answers its result, as [Job.result] does: in one call, so that no retention is
   * too short for the end to be seen.
   *
   * The job's id is minted before the first try: however often it is tried, there is one job. When its connection
   * breaks, it goes on with a watch; an aborted signal ends the wait and never the job.
   *
   * @throws as [submit] until the job was accepted, then as [Job.result]. Unavailable and DeadlineExceeded of before
   *   that tell nothing of whether it was accepted: run it again with the same `jobId`.
   */
  async run<Out = unknown>(kind: string, input?: unknown, options: RunJobOptions = {}): Promise<Out> {
    const { jobId, payload } = await this.#run(kind, input, options);
    return readResult(jobId, payload) as Out;
  }

  /** As [run], but the payload of the result as it is, with its content type. */
  async runPayload(kind: string, input?: unknown, options: RunJobOptions = {}): Promise<Payload> {
    return (await this.#run(kind, input, options)).payload;
  }

  /** A job known by its id. Nothing is sent: whether it exists shows when something is asked of it. */
  job<Out = unknown>(id: string): Job<Out> {
    return new Job<Out>(this.#calls, id);
  }

  /**
   * The whole job as it is now.
   *
   * @throws JobNotFound, ResultExpired, Unavailable, DeadlineExceeded.
   */
  async get(id: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<JobView> {
    const { job } = await this.#calls.call((jobs, given) => jobs.getJob({ jobId: id }, given), options.signal);
    return readJob(job);
  }

  /**
   * Ends every connection, wait and watch of this client; those reject with a JobstreamError of reason `CLIENT_CLOSED`.
   * It never touches jobs, and may be called twice.
   */
  close(): void {
    this.#calls.close();
  }

  async #run(kind: string, input: unknown, options: RunJobOptions): Promise<{ jobId: string; payload: Payload }> {
    const spec = jobSpec(kind, input, options);
    const { jobId } = spec;
    return { jobId, payload: resultOf(jobId, await runToEnd(this.#calls, spec, options)) };
  }
}
