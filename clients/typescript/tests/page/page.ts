// Runs in the browser: submits a job, follows it, and hands every event to the test.

import { Client, type JobEvent } from "jobstream/web";

declare global {
  /** What the test provides. */
  function told(event: { type: string; sequence: number | undefined }): Promise<void>;
  /** What the test calls; answers the result. */
  function follow(address: string, kind: string, chunks: number): Promise<string>;
}

globalThis.follow = async (address, kind, chunks) => {
  const client = new Client(address);
  const job = await client.submit<bigint>(kind, { chunks, exact: 2n ** 63n });
  for await (const event of job.watch({ heartbeat: 1_000 })) {
    await globalThis.told({ type: event.type, sequence: sequenceOf(event) });
  }
  const result = await job.result();
  client.close();
  return String(result);
};

function sequenceOf(event: JobEvent): number | undefined {
  return event.type === "gap" ? undefined : event.sequence;
}
