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
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";

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

test("concurrent calls share the connections", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) => worker.handle("double", (n: number) => 2 * n), { slots: 100 });
  const results = Array.from({ length: 300 }, async (_, i) => (await client.submit<number>("double", i)).result());
  assert.deepEqual(
    await Promise.all(results),
    Array.from({ length: 300 }, (_, i) => 2 * i),
  );
});

test("a wait ends with its timeout or its signal, and the job continues", async () => {
  await using client = new Client(server.address);
  const job = await client.submit("unserved");
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

test("a watch ends with its signal, or when its reader stops", async () => {
  await using client = new Client(server.address);
  const job = await client.submit("unserved");
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

test("close ends waits and watches, and jobs continue", async () => {
  const client = new Client(server.address);
  const job = await client.submit("unserved");
  const isClosed = (error: unknown) => error instanceof JobstreamError && error.reason === "CLIENT_CLOSED";
  const waiting = assert.rejects(job.result(), isClosed);
  const watching = assert.rejects(collect(job.watch()), isClosed);
  client.close();
  await Promise.all([waiting, watching]);
  await assert.rejects(client.submit("unserved"), isClosed);
  client.close();
  await using other = new Client(server.address);
  assert.equal(await other.job(job.id).cancel(), "CANCELLED");
});

test("error messages have the value, the limit and a fix", async () => {
  await using client = new Client(server.address);
  const broken = client.submit("no spaces", 1, { priority: 101 });
  await assert.rejects(broken, (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.deepEqual(error.violations.map(({ field }) => field).sort(), ["job.kind", "job.priority"]);
    return error.code === "INVALID_ARGUMENT" && error.reason === "INVALID_FIELD";
  });
  await assert.rejects(client.submit("kind", 1, { timeout: NaN }), /job.timeout is NaN: must be 0 to/);
  await assert.rejects(client.submit("kind", 1, { priority: 0.5 }), /job.priority is 0.5: must be an integer/);
  await assert.rejects(client.job("0190aaaa-0000-7000-8000-000000000000").state(), JobNotFound);
  assert.throws(() => new Client("ftp://x"), /address "ftp:\/\/x" has the scheme ftp:: use http/);
  assert.throws(() => new Client(server.address, { callTimeout: -1 }), InvalidRequest);
});

test("a malformed job id is rejected without a call", async () => {
  await using client = new Client("http://127.0.0.1:1");
  const isRejected = (error: unknown) =>
    error instanceof InvalidRequest &&
    error.code === undefined &&
    /job_id is "order-123": must be a UUID; .*UUIDv5/.test(error.message);
  assert.throws(() => client.job("order-123"), isRejected);
  await assert.rejects(client.get("order-123"), isRejected);
  await assert.rejects(client.submit("kind", 1, { jobId: "order-123" }), isRejected);
  assert.equal(client.job("0190AAAA000070008000000000000000").id, "0190AAAA000070008000000000000000");
});

test("a result that does not match its content type can be read undecoded", async () => {
  await using client = new Client(server.address);
  const wrong = Payload.text("{", "application/json");
  await using _ = await working(client, (worker) => worker.handle("wrong", () => wrong));
  const job = await client.submit("wrong");
  await assert.rejects(job.result(), (error) => {
    assert.ok(error instanceof ResultMismatch);
    return error.message.includes("is not valid application/json: read its payload");
  });
  assert.equal((await job.payload()).text(), "{");
});

test("get returns the whole job, and the raw stubs work", async () => {
  await using client = new Client(server.address);
  const startTime = new Date(Date.now() + 3_600_000);
  const job = await client.submit("later", "x", { queue: "other", labels: { a: "b" }, startTime, maxAttempts: 3 });
  const { state, waitReason, queue, labels, payload } = await client.get(job.id);
  assert.deepEqual(
    [state, waitReason, queue, labels, payload.value()],
    ["SCHEDULED", "NOT_DUE", "other", { a: "b" }, "x"],
  );
  const { job: raw } = await client.stubs.jobs.getJob({ jobId: job.id });
  assert.equal(raw?.spec?.retry?.maxAttempts, 3);
  assert.ok(
    raw.spec.start.case === "startTime" && timestampDate(raw.spec.start.value).getTime() === startTime.getTime(),
  );
  await job.cancel();
  await assert.rejects(client.submit("x", 1, { delay: 1, startTime }), /set only one/);
});

test("the whole retry policy is sent", async () => {
  await using client = new Client(server.address);
  const retry = { initialBackoff: 500, multiplier: 3, maxBackoff: 60_000, jitter: 0, maxLostAttempts: 7 };
  const job = await client.submit("unserved", 1, { maxAttempts: 5, retry });
  const { job: raw } = await client.stubs.jobs.getJob({ jobId: job.id });
  const sent = raw?.spec?.retry;
  assert.ok(sent?.initialBackoff && sent.maxBackoff);
  assert.deepEqual(
    {
      initialBackoff: durationMs(sent.initialBackoff),
      multiplier: sent.multiplier,
      maxBackoff: durationMs(sent.maxBackoff),
      jitter: sent.jitter,
      maxLostAttempts: sent.maxLostAttempts,
    },
    retry,
  );
  assert.equal(sent.maxAttempts, 5);
  await job.cancel();
});

test("a finished job cannot be cancelled", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) => worker.handle("done", () => 1));
  const job = await client.submit("done");
  await job.result();
  await assert.rejects(job.cancel(), IllegalState);
});

test("a slow reader of one watch does not block other calls", async () => {
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

test("long calls use further connections and release them", () => {
  const connection = new NodeConnection("http://127.0.0.1:1", {
    keepalive: { interval: 1_000, timeout: 1_000 },
    tls: () => ({}),
    interceptors: [],
    renewsToken: false,
    messageBytesMax: 1 << 24,
  });
  const links = Array.from({ length: 900 }, () => connection.forLongCall());
  assert.equal(connection.size, 1);
  links.push(connection.forLongCall());
  assert.equal(connection.size, 2);
  links[0]?.release();
  links[0]?.release();
  connection.forLongCall();
  connection.forLongCall();
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
