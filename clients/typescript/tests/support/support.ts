// Helpers shared by the tests.

import { Worker, type Client, type JobEvent, type WorkerOptions } from "jobstream";

/** A promise and its resolver. */
export function gate<T = void>() {
  let open!: (value: T) => void;
  const passed = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}

/** Collects the log lines of a worker. */
export function recordingLogger() {
  const lines: string[] = [];
  const errors: unknown[] = [];
  const record =
    (level: string) =>
    (line: string, ...error: unknown[]) => {
      lines.push(`${level} ${line}`);
      errors.push(...error);
    };
  return { lines, errors, info: record("info"), warn: record("warn") };
}

/** Runs a worker until the end of the block. It logs nothing by default. */
export async function working(client: Client, prepare: (worker: Worker) => void, options: WorkerOptions = {}) {
  const connected = gate();
  const worker = new Worker(client, {
    logger: recordingLogger(),
    ...options,
    onConnected: (info) => {
      options.onConnected?.(info);
      connected.open();
    },
  });
  prepare(worker);
  const ended = worker.run({ signals: false });
  await Promise.race([connected.passed, ended]);
  return {
    worker,
    ended,
    async [Symbol.asyncDispose]() {
      await worker.stop();
      await ended.catch(() => undefined);
    },
  };
}

export async function collect(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  const all: JobEvent[] = [];
  for await (const event of events) {
    all.push(event);
  }
  return all;
}

/** Registers the handler of kind `stream`: it sends `chunks` chunks of output and waits after each. */
export function streamChunks(worker: Worker, turn: () => Promise<unknown>): void {
  worker.handle("stream", async ({ chunks }: { chunks: number }, context) => {
    for (let i = 1; i <= chunks; i++) {
      await context.output(`chunk ${i} ${".".repeat(100)}`);
      await turn();
    }
    return chunks;
  });
}
