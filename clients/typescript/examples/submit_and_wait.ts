// Submits a job and waits for its result: `node submit_and_wait.js [ADDRESS]`. Start the worker example first.

import { Client, JobFailed } from "jobstream";

await using client = new Client(process.argv[2]);
const job = await client.submit<{ sum: number }>("add", { numbers: [1, 2, 3] }, { timeout: 60_000 });
console.log("submitted", job.id);
try {
  const { sum } = await job.result({ timeout: 30_000 });
  console.log("the sum is", sum);
} catch (error) {
  if (!(error instanceof JobFailed)) {
    throw error;
  }
  console.log("the job failed:", error.failure.message);
}
