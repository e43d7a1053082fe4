// Streams output from a worker to a watcher: `node streaming_output.js [ADDRESS]`, with `jobstream dev` running.

import { setTimeout as sleep } from "node:timers/promises";

import { Client, Worker } from "jobstream";

await using client = new Client(process.argv[2]);
const worker = new Worker(client, { name: "writer" });
worker.handle("write", async (text: string, context) => {
  for (const word of text.split(" ")) {
    await sleep(50, undefined, { signal: context.signal });
    await context.output(`${word} `);
  }
});
const ended = worker.run();

const job = await client.submit("write", "so it is written");
for await (const event of job.watch()) {
  if (event.type === "state" && event.state === "RUNNING" && event.attempt > 1) {
    console.log("(a new attempt starts from the beginning)");
  } else if (event.type === "output") {
    process.stdout.write(event.payload.text());
  }
}
console.log();
await worker.drain();
await ended;
