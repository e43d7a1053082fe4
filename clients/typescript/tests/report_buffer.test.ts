import assert from "node:assert/strict";
import { test } from "node:test";

import { create, toBinary } from "@bufbuild/protobuf";
import { HelloSchema, LogLevel, OutputSchema, ProgressSchema, type WorkRequest, WorkRequestSchema } from "jobstream/v1";

import { ReportBuffer } from "#dist/worker/report_buffer.js";
import { Requests } from "#dist/worker/requests.js";
import { ByteSemaphore } from "#dist/worker/byte_semaphore.js";
import { release } from "#dist/worker/final_report.js";

const limits = (standing: string[], acked = 0) => ({
  lease: 30_000,
  payloadBytesMax: 1 << 20,
  messageBytesMax: 4 << 20,
  acked,
  unknown: 0,
  standing: new Set(standing),
});
const notAborted = new AbortController().signal;

function streamOf(buffer: ReportBuffer) {
  const requests = new Requests(buffer, create(HelloSchema, { slots: buffer.freeSlots }));
  const messages = requests[Symbol.asyncIterator]();
  return { requests, next: async () => (await messages.next()).value as WorkRequest };
}

test("nothing is sent before Welcome; then only the newest progress is sent", async () => {
  const buffer = new ReportBuffer(2);
  const { requests, next } = streamOf(buffer);
  assert.equal((await next()).hello?.slots, 2);
  buffer.welcome(limits([]));
  requests.open();
  buffer.begin("a");
  assert.deepEqual((await next()).acceptedLeaseIds, ["a"]);
  for (let fraction = 0; fraction <= 1; fraction += 0.25) {
    buffer.progress("a", create(ProgressSchema, { fraction }));
  }
  const { reports } = await next();
  assert.deepEqual(
    reports.map(({ news }) => (news.case === "progress" ? news.value.fraction : news.case)),
    [1],
  );
});

test("unacknowledged reports are sent again with their numbers after a reconnect", async () => {
  const buffer = new ReportBuffer(2);
  buffer.begin("a");
  for (const text of ["1", "2", "3"]) {
    buffer.log("a", LogLevel.INFO, text);
  }
  const { requests, next } = streamOf(buffer);
  await next();
  buffer.welcome(limits(["a"], 1));
  requests.open();
  const { reports } = await next();
  assert.deepEqual(
    reports.map(({ reportSequence }) => reportSequence),
    [2n, 3n],
  );
});

test("an attempt that lost its lease occupies its slot until it ends and sends no report", () => {
  const buffer = new ReportBuffer(4);
  buffer.begin("a");
  buffer.begin("b");
  assert.deepEqual(buffer.welcome(limits(["b"])), ["a"]);
  assert.equal(buffer.slots, 3);
  buffer.log("a", LogLevel.INFO, "late");
  buffer.end("a", release(), 0);
  assert.equal(buffer.slots, 4);
  assert.ok(buffer.isAcknowledged);
});

test("output waits while the buffer is full and continues after an acknowledgement", async () => {
  const buffer = new ReportBuffer(1);
  buffer.begin("a");
  const size = buffer.space.size - 192;
  await buffer.output("a", create(OutputSchema), size, notAborted);
  let isBuffered = false;
  const second = buffer.output("a", create(OutputSchema), size, notAborted).then(() => (isBuffered = true));
  await Promise.resolve();
  assert.equal(isBuffered, false);
  buffer.acknowledge(1);
  await second;
});

test("dropped log lines are counted", () => {
  const buffer = new ReportBuffer(1);
  buffer.begin("a");
  while (buffer.space.free > 20_000) {
    buffer.log("a", LogLevel.INFO, "x".repeat(16 * 1024));
  }
  const before = buffer.reports.length;
  buffer.log("a", LogLevel.INFO, "y".repeat(16 * 1024));
  buffer.log("a", LogLevel.INFO, "y".repeat(16 * 1024));
  buffer.log("a", LogLevel.INFO, "y".repeat(16 * 1024));
  const buffered = buffer.reports.length - before;
  buffer.end("a", release(), 0);
  const texts = buffer.reports.flatMap(({ body }) => (body?.case === "log" ? [body.value.text] : []));
  assert.match(texts.at(-1) ?? "", new RegExp(`^${3 - buffered} log lines were dropped here`));
});

test("an aborted waiter of the semaphore leaves the queue to the next waiter", async () => {
  const space = new ByteSemaphore(10);
  space.tryAcquire(8);
  const controller = new AbortController();
  const first = space.acquire(9, controller.signal);
  const second = space.acquire(2, notAborted);
  controller.abort(new Error("left"));
  await assert.rejects(first, /left/);
  assert.equal(await second, 2);
});

test("messages of a hundred thousand leases fit the receive limit", async () => {
  const buffer = new ReportBuffer(100_000);
  const leases = Array.from({ length: 100_000 }, (_, i) => String(i).padStart(36, "0"));
  leases.forEach((lease) => {
    buffer.begin(lease);
  });
  const { requests, next } = streamOf(buffer);
  await next();
  buffer.welcome(limits(leases));
  requests.open();
  const data = new Uint8Array(1 << 20);
  const chunk = create(OutputSchema, { payload: { body: { case: "data", value: data } } });
  await buffer.output("0".repeat(36), chunk, data.length, notAborted);
  requests.end();
  const sent: WorkRequest[] = [];
  for (let request = await next(); request as unknown; request = await next()) {
    sent.push(request);
  }
  const sizes = sent.map((request) => toBinary(WorkRequestSchema, request).length);
  assert.ok(Math.max(...sizes) < (1 << 20) + 4096, `a message has ${Math.max(...sizes)} bytes`);
  assert.deepEqual(
    sent.flatMap(({ heartbeat }) => heartbeat?.leaseIds ?? []),
    leases,
  );
  assert.deepEqual(
    sent.flatMap(({ acceptedLeaseIds }) => acceptedLeaseIds),
    leases,
  );
  assert.equal(sent.flatMap(({ reports }) => reports).length, 1);
});
