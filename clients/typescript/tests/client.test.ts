import assert from "node:assert/strict";
import { test } from "node:test";

import {
  Client,
  IllegalState,
  InvalidRequest,
  JobFailed,
  JobNotFound,
  JobstreamError,
  NotFinished,
  Payload,
  ResultMismatch,
} from "jobstream";
import { startServer } from "jobstream/testing";
import { timestampDate } from "@bufbuild/protobuf/wkt";

import { NodeConnection } from "#dist/node/connection.js";
import { collect, gate, working } from "./support/support.js";

const server = await startServer();
test.after(() => server.stop());

test("a result is typed, and large integers stay exact", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) => worker.handle("echo", (input) => input));
  const job = await client.submit<{ exact: bigint }>("echo", { exact: 2n ** 63n });
  const { exact } = await job.result({ timeout: 10_000 });
  assert.equal(exact, 2n ** 63n);
});

test("many jobs at the same time share the connections", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) => worker.handle("double", (n: number) => 2 * n), { slots: 100 });
  const results = Array.from({ length: 300 }, async (_, i) => (await client.submit<number>("double", i)).result());
  assert.deepEqual(
    await Promise.all(results),
    Array.from({ length: 300 }, (_, i) => 2 * i),
  );
});

test("a wait ends with its timeout or its signal, and the job goes on", async () => {
  await using client = new Client(server.address);
  const job = await client.submit("nobody");
  await assert.rejects(job.result({ timeout: 0 }), NotFinished);
  await assert.rejects(job.result({ timeout: 50 }), NotFinished);
  const reason = new Error("enough");
  await assert.rejects(job.result({ signal: AbortSignal.abort(reason) }), reason);
  const late = new AbortController();
  const waiting = job.result({ signal: late.signal });
  late.abort(reason);
  await assert.rejects(waiting, reason);
  assert.equal(await job.state(), "QUEUED");
  assert.equal(await job.cancel({ reason: "over" }), "CANCELLED");
});

test("a watch ends with its signal, or when it is left", async () => {
  await using client = new Client(server.address);
  const job = await client.submit("nobody");
  const stop = new AbortController();
  await assert.rejects(async () => {
    for await (const event of job.watch({ signal: stop.signal })) {
      assert.equal(event.type, "state");
      stop.abort(new Error("seen"));
    }
  }, /seen/);
  for await (const _ of job.watch()) {
    break;
  }
  await job.cancel();
});

test("close ends waits and watches, never jobs", async () => {
  const client = new Client(server.address);
  const job = await client.submit("nobody");
  const isClosed = (error: unknown) => error instanceof JobstreamError && error.reason === "CLIENT_CLOSED";
  const waiting = assert.rejects(job.result(), isClosed);
  const watching = assert.rejects(collect(job.watch()), isClosed);
  client.close();
  await Promise.all([waiting, watching]);
  await assert.rejects(client.submit("nobody"), isClosed);
  client.close();
  await using other = new Client(server.address);
  assert.equal(await other.job(job.id).cancel(), "CANCELLED");
});

test("errors tell value, limit and way out", async () => {
  await using client = new Client(server.address);
  const broken = client.submit("no spaces", 1, { priority: 101 });
  await assert.rejects(broken, (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.deepEqual(error.violations.map(({ field }) => field).sort(), ["job.kind", "job.priority"]);
    return error.code === "INVALID_ARGUMENT" && error.reason === "INVALID_FIELD";
  });
  await assert.rejects(client.submit("kind", 1, { timeout: NaN }), /job.timeout is NaN: allowed are 0 to/);
  await assert.rejects(client.submit("kind", 1, { priority: 0.5 }), /job.priority is 0.5: give an integer/);
  await assert.rejects(client.job("0190aaaa-0000-7000-8000-000000000000").state(), JobNotFound);
  assert.throws(() => new Client("ftp://x"), /address "ftp:\/\/x" has the scheme ftp:: write http/);
  assert.throws(() => new Client(server.address, { callTimeout: -1 }), InvalidRequest);
});

test("a result that is not what it says can still be read", async () => {
  await using client = new Client(server.address);
  const wrong = Payload.text("{", "application/json");
  await using _ = await working(client, (worker) => worker.handle("wrong", () => wrong));
  const job = await client.submit("wrong");
  await assert.rejects(job.result(), (error) => {
    assert.ok(error instanceof ResultMismatch);
    return error.message.includes("is no application/json: read its payload");
  });
  assert.equal((await job.payload()).text(), "{");
});

test("the whole job and the raw stubs are one property away", async () => {
  await using client = new Client(server.address);
  const startTime = new Date(Date.now() + 3_600_000);
  const job = await client.submit("later", "x", { queue: "aside", labels: { a: "b" }, startTime, maxAttempts: 3 });
  const { state, waitReason, queue, labels, payload } = await client.get(job.id);
  assert.deepEqual(
    [state, waitReason, queue, labels, payload.value()],
    ["SCHEDULED", "NOT_DUE", "aside", { a: "b" }, "x"],
  );
  const { job: raw } = await client.stubs.jobs.getJob({ jobId: job.id });
  assert.equal(raw?.spec?.retry?.maxAttempts, 3);
  assert.ok(
    raw.spec.start.case === "startTime" && timestampDate(raw.spec.start.value).getTime() === startTime.getTime(),
  );
  await job.cancel();
  await assert.rejects(client.submit("x", 1, { delay: 1, startTime }), /give one of them/);
});

test("a job that ended otherwise cannot be cancelled", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) => worker.handle("done", () => 1));
  const job = await client.submit("done");
  await job.result();
  await assert.rejects(job.cancel(), IllegalState);
});

test("a slow reader of one watch does not hold up other calls", async () => {
  await using client = new Client(server.address);
  const chunk = "x".repeat(60_000);
  const opened = gate();
  await using _ = await working(client, (worker) =>
    worker.handle("flood", async (_, context) => {
      for (let i = 0; i < 100; i++) {
        await context.output(chunk);
      }
      await opened.passed;
    }),
  );
  const job = await client.submit("flood");
  const watch = job.watch();
  await watch.next();
  for (let i = 0; i < 20; i++) {
    await client.get(job.id);
  }
  opened.open();
  await job.result({ timeout: 20_000 });
  await watch.return();
});

test("held calls spread over connections and free their places", () => {
  const connection = new NodeConnection("http://127.0.0.1:1", {
    ping: { after: 1_000, answer: 1_000 },
    tls: {},
    interceptors: [],
    messageBytesMax: 1 << 24,
  });
  const links = Array.from({ length: 900 }, () => connection.forHeldCall());
  assert.equal(connection.size, 1);
  links.push(connection.forHeldCall());
  assert.equal(connection.size, 2);
  links[0]?.release();
  links[0]?.release();
  connection.forHeldCall();
  connection.forHeldCall();
  assert.equal(connection.size, 2);
  connection.close();
});

test("a failure has the type, message and stack of its error", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) =>
    worker.handle("fails", () => {
      throw new RangeError("too far");
    }),
  );
  const job = await client.submit("fails");
  await assert.rejects(job.result(), (error) => {
    assert.ok(error instanceof JobFailed);
    const { reason, type, message, retryable, details } = error.failure;
    assert.deepEqual([reason, type, message, retryable], ["HANDLER", "RangeError", "too far", true]);
    return /at .*client\.test/.test(details?.text() ?? "");
  });
});
