// Runs in the browser: submits a job, watches it and passes every event to the test; follows the changes of all jobs.

import { Client, type JobEvent } from "jobstream/web";

declare global {
  /** Provided by the test. */
  function onEvent(event: { type: string; sequence: number | undefined }): Promise<void>;
  /** Called by the test. Returns the result. */
  function follow(address: string, kind: string, chunks: number): Promise<string>;
  /** Provided by the test. */
  function onChange(jobId: string): Promise<void>;
  /** Called by the test. Passes this number of changes of all jobs to the test. */
  function followAll(address: string, afterCursor: string, changes: number): Promise<void>;
}

globalThis.follow = async (address, kind, chunks) => {
  const client = new Client(address);
  const job = await client.submit<bigint>(kind, { chunks, exact: 2n ** 63n });
  for await (const event of job.watch({ heartbeat: 1_000 })) {
    await globalThis.onEvent({ type: event.type, sequence: sequenceOf(event) });
  }
  const result = await job.result();
  client.close();
  return String(result);
};

globalThis.followAll = async (address, afterCursor, changes) => {
  const client = new Client(address);
  let left = changes;
  for await (const item of client.watchJobs({}, { afterCursor, heartbeat: 1_000 })) {
    await globalThis.onChange(item.type === "change" ? item.jobId : item.type);
    left -= 1;
    if (left === 0) {
      break;
    }
  }
  client.close();
};

function sequenceOf(event: JobEvent): number | undefined {
  return event.type === "gap" ? undefined : event.sequence;
}
