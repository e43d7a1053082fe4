import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";

import { Client, DeadlineExceeded, type JobEvent, ServerRestarted, Unavailable } from "jobstream";
import { startServer } from "jobstream/testing";

import { Proxy } from "./support/proxy.js";
import { collect, gate, recordingLogger, streamChunks, working } from "./support/support.js";

const server = await startServer({ args: ["--worker-reconnect-grace", "20s"] });
test.after(() => server.stop());

/** No sequence is missing or repeated. */
function assertComplete(events: JobEvent[]): void {
  const sequences = events.map((event) => (event.type === "gap" ? NaN : event.sequence));
  assert.deepEqual(
    sequences,
    Array.from(sequences, (_, index) => index + 1),
  );
  assert.equal(events.at(-1)?.type, "state");
}

test("a watch delivers every event once across repeated connection cuts", async () => {
  await using client = new Client(server.address);
  await using proxy = await Proxy.before(server.address);
  await using through = new Client(proxy.address);
  await using _ = await working(client, (worker) => {
    streamChunks(worker, () => sleep(1));
  });
  const job = await client.submit("stream", { chunks: 100 });
  proxy.cutAfter(3_000);
  const events = await collect(through.job(job.id).watch());
  assertComplete(events);
  assert.equal(events.filter(({ type }) => type === "output").length, 100);
  assert.ok(proxy.accepted > 2, `cut ${proxy.accepted - 1} times`);
});

test("a stalled connection is replaced after missed heartbeats", async () => {
  await using client = new Client(server.address);
  await using proxy = await Proxy.before(server.address);
  await using through = new Client(proxy.address);
  const job = await client.submit("unserved");
  const watch = through.job(job.id).watch({ heartbeat: 1_000 });
  await watch.next();
  proxy.stall();
  await client.job(job.id).cancel();
  const { value } = await watch.next();
  assert.ok(value?.type === "state" && value.state === "CANCELLED");
  assert.equal((await watch.next()).done, true);
  assert.equal(proxy.accepted, 2);
});

test("a stalled connection is closed after an unanswered PING", async () => {
  await using client = new Client(server.address);
  await using proxy = await Proxy.before(server.address);
  await using through = new Client(proxy.address, { ping: { after: 100, answer: 100 } });
  const job = await client.submit("unserved");
  const waiting = through.job(job.id).result();
  while (proxy.accepted === 0) {
    await sleep(5);
  }
  proxy.stall();
  await client.job(job.id).cancel({ reason: "seen" });
  await assert.rejects(waiting, /was cancelled: seen/);
});

test("the server accepts a PING every few milliseconds", async () => {
  await using proxy = await Proxy.before(server.address);
  await using client = new Client(proxy.address, { keepalive: { interval: 2, timeout: 5_000 } });
  const job = await client.submit("unserved");
  const waiting = job.result();
  while (proxy.pongs < 50) {
    await sleep(5);
  }
  assert.equal(proxy.accepted, 1);
  await job.cancel({ reason: "over" });
  await assert.rejects(waiting, /was cancelled: over/);
});

test("no PING is sent after a connection is closed", async () => {
  // A PING on a destroyed connection would throw out of a timer and end the process.
  await using proxy = await Proxy.before(server.address);
  await using client = new Client(proxy.address, { ping: { after: 10, answer: 200 } });
  const job = await client.submit("unserved");
  for (let cuts = 0; cuts < 20; cuts++) {
    const stop = new AbortController();
    const waits = Array.from({ length: 5 }, () => job.result({ signal: stop.signal }).catch(() => undefined));
    await job.state();
    proxy.cut();
    await sleep(25);
    stop.abort();
    await Promise.all(waits);
  }
  await job.cancel();
});

test("a worker that reconnects continues its attempts", async () => {
  await using client = new Client(server.address);
  await using proxy = await Proxy.before(server.address);
  await using through = new Client(proxy.address);
  const started = gate();
  const finish = gate();
  const reconnected = gate();
  let connections = 0;
  const onConnected = () => {
    connections += 1;
    if (connections === 2) {
      reconnected.open();
    }
  };
  await using _ = await working(
    through,
    (worker) =>
      worker.handle("hold", async () => {
        started.open();
        await finish.passed;
        return "kept";
      }),
    { onConnected },
  );
  const job = await client.submit("hold");
  await started.passed;
  for await (const event of job.watch()) {
    if (event.type === "state" && event.state === "RUNNING") {
      break;
    }
  }
  proxy.cut();
  await reconnected.passed;
  finish.open();
  assert.equal(await job.result({ timeout: 10_000 }), "kept");
  assert.equal((await client.get(job.id)).attempts.length, 1);
});

test("a worker logs a lost connection once, and its reconnect", async () => {
  const first = await startServer();
  const listen = new URL(first.address).host;
  await using client = new Client(first.address);
  const logger = recordingLogger();
  let connects = 0;
  const reconnected = gate();
  const failedTwice = gate();
  let failures = 0;
  await using _ = await working(client, (worker) => worker.handle("x", () => 1), {
    name: "w",
    logger,
    onConnected: () => {
      connects += 1;
      if (connects === 2) {
        reconnected.open();
      }
    },
    onDisconnected: () => {
      failures += 1;
      if (failures === 2) {
        failedTwice.open();
      }
    },
  });
  await first.stop();
  await failedTwice.passed;
  await using second = await startServer({ listen });
  await reconnected.passed;
  assert.equal(second.address, first.address);
  assert.equal(logger.lines.length, 3, logger.lines.join("\n"));
  assert.match(logger.lines[1] ?? "", /^warn jobstream: worker w lost its connection: .*; tries again in \d+ ms$/);
  const connected = `info jobstream: worker w is connected to ${first.address}`;
  assert.deepEqual([logger.lines[0], logger.lines[2]], [connected, connected]);
});

test("an unreachable server is Unavailable, an unresponsive one is DeadlineExceeded", async () => {
  const proxy = await Proxy.before(server.address);
  const { address } = proxy;
  proxy.stall({ isNewToo: true });
  await using stalled = new Client(address, { callTimeout: 100 });
  await assert.rejects(stalled.submit("x"), DeadlineExceeded);
  await proxy[Symbol.asyncDispose]();
  await using client = new Client(address, { tries: { maxAttempts: 2, firstPause: 1 }, patience: 50 });
  const isUnavailable = (error: unknown) => error instanceof Unavailable && error.message.includes(address);
  await assert.rejects(client.submit("x"), isUnavailable);
  const job = client.job("0190aaaa-0000-7000-8000-000000000000");
  await assert.rejects(job.result(), isUnavailable);
  await assert.rejects(collect(job.watch()), isUnavailable);
});

test("a job lost by a restart is ServerRestarted", async () => {
  const first = await startServer();
  const listen = new URL(first.address).host;
  await using client = new Client(first.address);
  const job = await client.submit("unserved");
  await client.stubs.admin.getServerInfo({});
  await first.stop();
  await using _ = await startServer({ listen });
  await assert.rejects(job.result(), ServerRestarted);
  // After its first submit the client knows the new boot id, so an unknown job was never accepted.
  const other = await client.submit("unserved");
  assert.equal(await other.state(), "QUEUED");
});
