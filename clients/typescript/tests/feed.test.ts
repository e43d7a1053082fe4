// The feed of the changes of all jobs, of the Node and of the web client, and the program of the README with it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { transform } from "esbuild";
import {
  Client,
  type Feed,
  type FeedItem,
  InvalidRequest,
  type JobChange,
  type JobState,
  Unavailable,
} from "jobstream";
import { startServer } from "jobstream/testing";
import { Client as WebClient } from "jobstream/web";

import { Proxy } from "./support/proxy.js";
import { working } from "./support/support.js";

const server = await startServer();
test.after(() => server.stop());

async function next(feed: Feed): Promise<FeedItem> {
  const { value } = await feed.next();
  assert.ok(value !== undefined, "the feed has ended");
  return value;
}

async function nextChange(feed: Feed): Promise<JobChange> {
  const item = await next(feed);
  assert.ok(item.type === "change", JSON.stringify(item));
  return item;
}

/** A cursor before the next change: after one of no server, a feed begins with a gap. */
async function begin(client: Client): Promise<string> {
  const feed = client.watchJobs({ queue: "none" }, { afterCursor: "1-1" });
  assert.deepEqual(await next(feed), { type: "gap", missed: 0 });
  await feed.return();
  return feed.cursor;
}

for (const [name, Class] of [
  ["Node", Client],
  ["web", WebClient],
] as const) {
  test(`a feed of the ${name} client has each change once across cuts, and another one resumes after it`, async () => {
    await using client = new Client(server.address);
    await using proxy = await Proxy.before(server.address);
    const through = new Class(proxy.address);
    await using _ = await working(client, (worker) => worker.handle("double", (n: number) => 2 * n));
    const filter = { queue: `cuts-${name}` };
    const feed = through.watchJobs(filter, { afterCursor: await begin(client) });
    for (let n = 0; n < 5; n++) {
      const { id } = await client.submit("double", n, filter);
      const states: JobState[] = [];
      for (let change = 0; change < 3; change++) {
        const { jobId, event } = await nextChange(feed);
        assert.equal(jobId, id);
        states.push(event.state);
      }
      assert.deepEqual(states, ["QUEUED", "RUNNING", "SUCCEEDED"]);
      proxy.cut();
    }
    assert.ok(proxy.accepted >= 5, `${proxy.accepted} connections`);
    const { id } = await client.submit("idle", 1, filter);
    const resumed = client.watchJobs(filter, { afterCursor: feed.cursor });
    assert.equal((await nextChange(resumed)).jobId, id);
    await Promise.all([feed.return(), resumed.return()]);
    through.close();
  });
}

test("changes are filtered, and have the job and the event", async () => {
  await using client = new Client(server.address);
  const afterCursor = await begin(client);
  const ended: JobState[] = ["SUCCEEDED", "CANCELLED"];
  const labels = { part: "1" };
  await client.submit("idle", 1, { queue: "filtered" });
  const other = await client.submit("other", 1, { queue: "filtered", labels });
  const job = await client.submit("idle", 1, { queue: "filtered", labels: { ...labels, part2: "2" } });
  await other.cancel();
  await job.cancel({ reason: "enough" });
  const feed = client.watchJobs({ states: ended, kind: "idle", queue: "filtered", labels }, { afterCursor });
  const { event, ...change } = await nextChange(feed);
  assert.deepEqual(change, {
    type: "change",
    jobId: job.id,
    queue: "filtered",
    kind: "idle",
    labels: { ...labels, part2: "2" },
    owner: undefined,
  });
  assert.deepEqual([event.type, event.state], ["state", "CANCELLED"]);
  await feed.return();
});

test("a feed that is too far behind has one gap with the number of missed changes", async () => {
  await using small = await startServer({ args: ["--feed-bytes", "64KiB"] });
  const client = small.client();
  const afterCursor = await begin(client);
  for (let batch = 0; batch < 3; batch++) {
    await client.submitAll(Array.from({ length: 1_000 }, (_, input) => ({ kind: "idle", input, queue: "many" })));
  }
  const feed = client.watchJobs({ queue: "many" }, { afterCursor });
  const gap = await next(feed);
  assert.ok(gap.type === "gap" && gap.missed > 0 && gap.missed < 3_000, JSON.stringify(gap));
  assert.equal((await nextChange(feed)).event.state, "QUEUED");
  await feed.return();
});

test("a feed continues after a restart of the server, with a gap", async () => {
  const first = await startServer();
  await using client = new Client(first.address);
  const before = client.watchJobs({}, { afterCursor: await begin(client) });
  await client.submit("idle");
  await nextChange(before);
  await first.stop();
  await using second = await startServer({ listen: new URL(first.address).host });
  assert.deepEqual(await next(before), { type: "gap", missed: 0 });
  const { id } = await second.client().submit("idle");
  assert.equal((await nextChange(before)).jobId, id);
});

test("a stalled connection of a feed is replaced after missed heartbeats", async () => {
  await using client = new Client(server.address);
  await using proxy = await Proxy.before(server.address);
  await using through = new Client(proxy.address);
  const queue = "stalled";
  const feed = through.watchJobs({ queue }, { afterCursor: await begin(client), heartbeat: 1_000 });
  const first = await client.submit("idle", 1, { queue });
  assert.equal((await nextChange(feed)).jobId, first.id);
  proxy.stall();
  const second = await client.submit("idle", 2, { queue });
  assert.equal((await nextChange(feed)).jobId, second.id);
  assert.equal(proxy.accepted, 2);
});

test("a feed ends with its signal, with its client, and if the server stays unavailable", async () => {
  await using client = new Client(server.address);
  const stop = new AbortController();
  const pending = client.watchJobs({}, { signal: stop.signal }).next();
  stop.abort(new Error("enough"));
  await assert.rejects(pending, /^Error: enough$/);
  const closing = new Client(server.address);
  const waiting = closing.watchJobs({ queue: "none" }).next();
  closing.close();
  await assert.rejects(waiting, { reason: "CLIENT_CLOSED" });
  await using lost = new Client("http://127.0.0.1:1", { patience: 50, tries: { firstPause: 1 } });
  await assert.rejects(lost.watchJobs().next(), Unavailable);
});

test("no state matches nothing, and an unknown state or cursor is refused", async () => {
  await using client = new Client(server.address);
  assert.deepEqual(await client.watchJobs({ states: [] }).next(), { done: true, value: undefined });
  assert.throws(() => client.watchJobs({ states: "DONE" as JobState }), /has "DONE": use a state such as "QUEUED"/);
  await assert.rejects(client.watchJobs({}, { afterCursor: "x".repeat(65) }).next(), InvalidRequest);
});

test("the program of the README prints each failed job, and continues after its restart", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const program = /## Follow all jobs\n[^]*?```ts\n([^]*?)```/.exec(readme)?.[1] ?? "";
  const source = program.replace('"jobstream"', JSON.stringify(import.meta.resolve("jobstream")));
  const { code } = await transform(source, { loader: "ts" });
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) =>
    worker.handle("fails", (why: string) => {
      throw new TypeError(why);
    }),
  );
  const fail = async (why: string) => {
    const job = await client.submit("fails", why);
    await assert.rejects(job.result(), { name: "JobFailed" });
    return `default/fails ${job.id}: ${why}`;
  };
  const cwd = mkdtempSync(join(tmpdir(), "jobstream-feed-"));
  writeFileSync(join(cwd, "cursor"), await begin(client));
  const env = { ...process.env, JOBSTREAM_ADDRESS: server.address };
  /** Runs the program until it has printed this line. */
  const printed = async (last: string) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], { cwd, env, timeout: 30_000 });
    child.stderr.pipe(process.stderr);
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (line === last) {
        child.kill();
        break;
      }
    }
    return lines;
  };
  try {
    const [first, second] = [await fail("first"), await fail("second")];
    assert.deepEqual(await printed(second), [first, second]);
    const third = await fail("third");
    // The program may have ended before it wrote the cursor of the second line.
    const again = (await printed(third)).filter((line) => line !== second);
    assert.deepEqual(again, [third]);
  } finally {
    rmSync(cwd, { recursive: true });
  }
});
