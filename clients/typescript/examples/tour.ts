// A worker and a client that submits a job and watches it: `node tour.js`, with `jobstream dev` running.

import { Client, Worker } from "jobstream";

await using client = new Client(); // JOBSTREAM_ADDRESS, else http://127.0.0.1:7070
const worker = new Worker(client, { name: "thumbnails" });
worker.handle("resize", (width: number, context) => {
  context.progress(0.5, "decoding");
  return `resized to ${width}`;
});
const ended = worker.run(); // SIGTERM drains it.

const job = await client.submit<string>("resize", 640); // Safe to retry: one call is one job.
for await (const event of job.watch()) {
  console.log(event); // Resumes by itself: none missed, none twice.
}
console.log(await job.result());
await worker.drain();
await ended;
