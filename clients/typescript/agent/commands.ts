// Executes the commands of the driver as calls of the client.

import { Client, type FeedItem, type Job, type JobEvent, Worker } from "jobstream";

import { encodeError } from "./errors.js";
import { Holds, handle } from "./handlers.js";
import { handlerInterceptor, submitInterceptor } from "./interceptors.js";
import { listed, queueFields, requestOf } from "./jobs.js";
import { valueOf, wireOf } from "./payloads.js";
import { type Command, type Emit, type Fields, type WirePayload, renamed } from "./protocol.js";

type Response = Promise<Record<string, unknown>> | Record<string, unknown>;

export class Commands {
  #client = new Client();
  readonly #clients = [this.#client];
  /** The jobs that the current client submitted. */
  readonly #jobs = new Map<string, Job>();
  readonly #workers = new Map<number, Worker>();
  readonly #watches = new Map<number, AbortController>();
  readonly #holds = new Holds();

  run(command: Command, emit: Emit): Response {
    switch (command.op) {
      case "connect":
        return this.#connect(command);
      case "submit":
        return this.#submit(command);
      case "run":
        return this.#run(command);
      case "load":
        return this.#load(command);
      case "result":
        return this.#job(command)
          .payload(renamed(command, { timeout: "timeout" }))
          .then(wireOf)
          .then((payload) => ({ payload }));
      case "state":
        return this.#job(command)
          .state()
          .then((state) => ({ state }));
      case "cancel":
        return this.#job(command)
          .cancel(renamed(command, { reason: "reason", grace: "grace" }))
          .then((state) => ({ state }));
      case "list":
        return listed(this.#client, command);
      case "retry":
        return this.#client.retry(command["job_id"] as string).then((job) => this.#retain(job));
      case "delete":
        return this.#client.delete(command["job_id"] as string).then(() => ({}));
      case "batch":
        return this.#batch(command);
      case "queues":
        return this.#client.queues().then((queues) => ({ queues: queues.map(queueFields) }));
      case "pause":
        return this.#client.pauseQueue(command["queue"] as string).then(() => ({}));
      case "resume":
        return this.#client.resumeQueue(command["queue"] as string).then(() => ({}));
      case "purge":
        return this.#client.purgeQueue(command["queue"] as string).then((cancelled) => ({ cancelled }));
      case "watch":
        return this.#watch(command, emit);
      case "feed":
        return this.#feed(command, emit);
      case "work":
        return this.#work(command, emit);
      case "release":
        this.#holds.of(command["job_id"] as string).release(valueOf(command["payload"] as WirePayload));
        return {};
      case "drain":
        return this.#drain(command);
      case "stop":
        return this.#stop(command);
      default:
        throw new Error(`unknown op ${command.op}`);
    }
  }

  close(): void {
    for (const client of this.#clients) {
      client.close();
    }
  }

  #connect(command: Command) {
    const { tries, interceptors = [] } = command;
    const options = renamed(command, { call_timeout: "callTimeout", patience: "patience" });
    this.#client = new Client(command["address"] as string, {
      ...options,
      submitInterceptors: (interceptors as string[]).map(submitInterceptor),
      ...(tries !== undefined && { tries: { maxAttempts: tries as number } }),
    });
    this.#clients.push(this.#client);
    this.#jobs.clear();
    return {};
  }

  async #submit(command: Command) {
    const { kind, input, ...options } = requestOf(command);
    return this.#retain(await this.#client.submit(kind, input, options));
  }

  /** Retains the handle of a job. */
  #retain(job: Job) {
    this.#jobs.set(job.id, job);
    return { job_id: job.id, wait_reason: job.waitReason };
  }

  async #batch({ jobs }: Command) {
    const results = await this.#client.submitAll((jobs as Fields[]).map(requestOf));
    return { results: results.map(({ job, error }) => (job ? this.#retain(job) : { error: encodeError(error) })) };
  }

  async #run(command: Command) {
    const { kind, input, ...options } = requestOf(command);
    const wait = renamed(command, { wait: "wait" });
    return { payload: wireOf(await this.#client.runPayload(kind, input, { ...options, ...wait })) };
  }

  async #load({ kind, jobs, in_flight }: Command) {
    const client = this.#client;
    let submitted = 0;
    const submitAll = async () => {
      while (submitted < (jobs as number)) {
        await client.submit(kind as string, { n: submitted++ });
      }
    };
    const began = performance.now();
    await Promise.all(Array.from({ length: in_flight as number }, submitAll));
    return { seconds: (performance.now() - began) / 1000 };
  }

  #job(command: Command): Job {
    const id = command["job_id"] as string;
    return this.#jobs.get(id) ?? this.#client.job(id);
  }

  #watch(command: Command, emit: Emit) {
    const options = renamed(command, { after: "afterSequence", heartbeat: "heartbeat" });
    return this.#untilStopped(command, async (signal) => {
      for await (const event of this.#job(command).watch({ ...options, signal })) {
        emit(eventFields(event));
      }
    });
  }

  #feed(command: Command, emit: Emit) {
    const filter = renamed(command, { states: "states", kind: "kind", queue: "queue", labels: "labels" });
    const options = renamed(command, { after_cursor: "afterCursor" });
    return this.#untilStopped(command, async (signal) => {
      const feed = this.#client.watchJobs(filter, { ...options, signal });
      for await (const item of feed) {
        emit({ ...feedFields(item), cursor: feed.cursor });
      }
    });
  }

  /** Follows a stream until it ends or is stopped. */
  async #untilStopped(command: Command, follow: (signal: AbortSignal) => Promise<void>) {
    const stop = new AbortController();
    this.#watches.set(command.id, stop);
    try {
      await follow(stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) {
        throw error;
      }
    } finally {
      this.#watches.delete(command.id);
    }
    return {};
  }

  async #work(command: Command, emit: Emit) {
    const address = command["address"] as string | undefined;
    const { interceptors = [] } = command;
    const limits = renamed(command, { message_bytes_max: "messageBytesMax" });
    const client = address === undefined ? this.#client : new Client(address, limits);
    this.#clients.push(client);
    const worker = new Worker(client, {
      ...renamed(command, { name: "name", slots: "slots", drain_timeout: "drainTimeout" }),
      interceptors: (interceptors as string[]).map(handlerInterceptor),
      onConnected: () => {
        emit({ type: "connected" });
      },
    });
    for (const [kind, behaviour] of Object.entries(command["handlers"] as Record<string, string>)) {
      handle(worker, kind, behaviour, emit, this.#holds);
    }
    this.#workers.set(command.id, worker);
    await worker.run({ signals: command["signals"] === true });
    return {};
  }

  async #drain(command: Command) {
    await this.#workers.get(command["target"] as number)?.drain(command["within"] as number);
    return {};
  }

  async #stop(command: Command) {
    const target = command["target"] as number;
    this.#watches.get(target)?.abort();
    await this.#workers.get(target)?.stop();
    return {};
  }
}

function feedFields(item: FeedItem): Record<string, unknown> {
  if (item.type === "gap") {
    return { ...item };
  }
  const { type, jobId, kind, queue, labels, event } = item;
  return { type, job_id: jobId, kind, queue, labels, event: eventFields(event) };
}

function eventFields(event: JobEvent): Record<string, unknown> {
  switch (event.type) {
    case "output":
      return { ...event, payload: wireOf(event.payload) };
    case "state": {
      const { type, state, failure, sequence, attempt } = event;
      return { type, state, failure: failure?.message, sequence, attempt };
    }
    default:
      return { ...event };
  }
}
