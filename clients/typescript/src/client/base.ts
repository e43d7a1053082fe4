// The common base of the Node and the browser client.

import { type Client as Stub, createClient } from "@connectrpc/connect";

import { checkedJobId } from "../data/job_id.js";
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

/** The generated stubs. Their calls are not retried and reject with the errors of @connectrpc/connect. */
export interface Stubs {
  readonly jobs: Stub<typeof JobService>;
  readonly admin: Stub<typeof AdminService>;
  readonly workers: Stub<typeof WorkerService>;
}

/** A client of one server. It connects at the first call. */
export abstract class BaseClient {
  readonly #calls: Calls;

  protected constructor(connection: Connection, options: ClientOptions) {
    this.#calls = new Calls(connection, readOptions(options));
  }

  /** The address of the server. */
  get address(): string {
    return this.#calls.connection.address;
  }

  /** The generated stubs on the connection of this client. */
  get stubs(): Stubs {
    const { transport } = this.#calls.connection;
    return {
      jobs: createClient(JobService, transport),
      admin: createClient(AdminService, transport),
      workers: createClient(WorkerService, transport),
    };
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
    const job = jobSpec(kind, input, options);
    calls.boots.current();
    const { jobId } = await calls.call((jobs, given) => jobs.submit({ job }, given), options.signal);
    return new Job<Out>(calls, jobId, calls.boots.current());
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
  async get(id: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<JobView> {
    const jobId = checkedJobId("job_id", id);
    const { job } = await this.#calls.call((jobs, given) => jobs.getJob({ jobId }, given), options.signal);
    return readJob(job);
  }

  /**
   * Closes the connections and ends the waits and watches of this client. They reject with a JobstreamError of reason
   * `CLIENT_CLOSED`. Jobs continue. May be called twice.
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
