import assert from "node:assert/strict";
import { test } from "node:test";

import {
  Client,
  IllegalState,
  InvalidRequest,
  type JobFilter,
  JobIdReused,
  JobNotFound,
  JobstreamError,
  ResultExpired,
  Unavailable,
} from "jobstream";
import { startServer } from "jobstream/testing";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

import { working } from "./support/support.js";

const server = await startServer();
test.after(() => server.stop());

const UNKNOWN = "0190aaaa-0000-7000-8000-000000000000";

async function listed(client: Client, filter: JobFilter): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of client.list(filter)) {
    ids.push(id);
  }
  return ids;
}

/** Records the name of each call and replaces the first response by the error of a lost connection. */
function loseFirstResponse(calls: string[]): Interceptor {
  return (next) => async (request) => {
    calls.push(request.method.name);
    const response = await next(request);
    if (calls.length === 1) {
      throw new ConnectError("connection lost", Code.Unavailable);
    }
    return response;
  };
}

/** A job that has ended. */
async function ended(client: Client) {
  await using _ = await working(client, (worker) => worker.handle("done", () => 1));
  const job = await client.submit("done");
  await job.result({ timeout: 10_000 });
  return job;
}

test("a batch has a job or an error for each request, in order, over several calls", async () => {
  await using client = new Client(server.address);
  const used = await client.submit("unserved", "other");
  const valid = Array.from({ length: 1_100 }, (_, n) => ({ kind: "unserved", input: n, queue: "batch" }));
  const results = await client.submitAll([
    { kind: "no spaces" },
    { kind: "unserved", jobId: "order-123" },
    { kind: "unserved", input: 1, jobId: used.id },
    ...valid,
  ]);
  const [refused, malformed, reused, ...accepted] = results;
  assert.ok(refused?.error instanceof InvalidRequest);
  assert.match(refused.error.violations[0]?.field ?? "", /kind$/);
  assert.match(malformed?.error?.message ?? "", /"order-123": must be a UUID/);
  assert.ok(reused?.error instanceof JobIdReused);
  const ids = accepted.map(({ job }) => job?.id);
  assert.deepEqual(await listed(client, { queue: "batch" }), ids.reverse());
  assert.deepEqual(await client.submitAll([]), []);
});

test("a call of a batch that fails is the error of its jobs", async () => {
  await using client = new Client("http://127.0.0.1:1", { tries: { maxAttempts: 1 } });
  const results = await client.submitAll([{ kind: "a" }, { kind: "no UUID", jobId: "x" }, { kind: "b" }]);
  const names = results.map(({ error }) => error?.name);
  assert.deepEqual(names, ["Unavailable", "InvalidRequest", "Unavailable"]);
});

test("a listing selects by state, kind, queue, labels and time, newest first", async () => {
  await using client = new Client(server.address);
  const before = new Date();
  const first = await client.submit("first", 1, { queue: "lists", labels: { tenant: "a" } });
  const second = await client.submit("second", 1, {
    queue: "lists",
    labels: { tenant: "a", size: "s" },
    delay: 60_000,
  });
  const both = [second.id, first.id];
  assert.deepEqual(await listed(client, { queue: "lists" }), both);
  assert.deepEqual(await listed(client, { labels: { tenant: "a" } }), both);
  assert.deepEqual(await listed(client, { labels: { tenant: "a", size: "s" } }), [second.id]);
  assert.deepEqual(await listed(client, { kind: "first" }), [first.id]);
  assert.deepEqual(await listed(client, { queue: "lists", states: "QUEUED" }), [first.id]);
  assert.deepEqual(await listed(client, { queue: "lists", states: ["QUEUED", "SCHEDULED"] }), both);
  assert.deepEqual(await listed(client, { queue: "lists", states: [] }), []);
  assert.deepEqual(await listed(client, { queue: "lists", createdBefore: new Date(before.getTime() - 60_000) }), []);
  assert.deepEqual(await listed(client, { queue: "lists", createdFrom: new Date(before.getTime() - 60_000) }), both);
  await assert.rejects(listed(client, { states: "ENDED" as "FAILED" }), /states has "ENDED"/);
});

test("a finished job can be submitted again and removed", async () => {
  await using client = new Client(server.address);
  const job = await ended(client);
  const again = await client.retry<number>(job.id);
  assert.notEqual(again.id, job.id);
  assert.equal(await again.state(), "QUEUED");
  await assert.rejects(client.retry(again.id), IllegalState);
  await assert.rejects(client.delete(again.id), IllegalState);
  await client.delete(job.id);
  await assert.rejects(client.delete(job.id), ResultExpired);
  await assert.rejects(client.retry(UNKNOWN), JobNotFound);
  await assert.rejects(client.delete("order-123"), InvalidRequest);
  await again.cancel();
});

test("a delete whose response was lost succeeds", async () => {
  await using client = new Client(server.address);
  const job = await ended(client);
  const calls: string[] = [];
  await using losing = new Client(server.address, { interceptors: [loseFirstResponse(calls)] });
  await losing.delete(job.id);
  assert.deepEqual(calls, ["Delete", "Delete"]);
  await assert.rejects(losing.delete(job.id), ResultExpired);
});

test("a purge is sent once", async () => {
  await using client = new Client(server.address);
  await client.submit("unserved", 1, { queue: "once" });
  const calls: string[] = [];
  await using losing = new Client(server.address, { interceptors: [loseFirstResponse(calls)] });
  await assert.rejects(losing.purgeQueue("once"), Unavailable);
  assert.deepEqual(calls, ["PurgeQueue"]);
});

test("queues are listed, paused, resumed and purged", async () => {
  await using client = new Client(server.address);
  const first = await client.submit("unserved", 1, { queue: "held" });
  await client.submit("unserved", 1, { queue: "held", delay: 60_000 });
  const paused = await client.pauseQueue("held");
  assert.ok(paused.paused);
  const queue = (await client.queues()).find(({ name }) => name === "held");
  assert.deepEqual([queue?.paused, queue?.queued, queue?.scheduled, queue?.running], [true, 1, 1, 0]);
  assert.deepEqual(queue?.unservedKinds, ["unserved"]);
  assert.equal((await client.get(first.id)).waitReason, "QUEUE_PAUSED");
  assert.equal((await client.resumeQueue("held")).paused, false);
  assert.equal(await client.purgeQueue("held"), 2);
  assert.equal(await first.state(), "CANCELLED");
  await assert.rejects(
    client.purgeQueue("missing"),
    (error) => error instanceof JobstreamError && error.reason === "QUEUE_NOT_FOUND",
  );
});
