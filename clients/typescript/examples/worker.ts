// A worker for two kinds of jobs, until SIGTERM or Ctrl-C drains it: `node worker.js [ADDRESS]`.

import { setTimeout as sleep } from "node:timers/promises";

import { Client, PermanentError, Worker } from "jobstream";

await using client = new Client(process.argv[2]);
const onConnected = () => {
  console.log("connected");
};
const worker = new Worker(client, { name: "example", slots: 4, onConnected });

worker.handle("add", ({ numbers }: { numbers: number[] }) => {
  if (numbers.length === 0) {
    throw new PermanentError("numbers is empty");
  }
  return { sum: numbers.reduce((sum, number) => sum + number) };
});

worker.handle("count", async ({ to }: { to: number }, context) => {
  for (let done = 1; done <= to; done++) {
    // Rejects when the job is cancelled.
    await sleep(100, undefined, { signal: context.signal });
    context.progress(done / to, `${done} of ${to}`);
  }
  return to;
});

await worker.run();
console.log("drained");
