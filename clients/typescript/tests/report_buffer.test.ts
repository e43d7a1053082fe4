import assert from "node:assert/strict";
import { test } from "node:test";

import { create, toBinary } from "@bufbuild/protobuf";
import { HelloSchema, LogLevel, OutputSchema, ProgressSchema, type WorkRequest, WorkRequestSchema } from "jobstream/v1";

import { Ledger } from "#dist/worker/ledger.js";
import { Requests } from "#dist/worker/requests.js";
import { Room } from "#dist/worker/room.js";
import { released } from "#dist/worker/verdict.js";

const terms = (standing: string[], acked = 0) => ({
  lease: 30_000,
  payloadBytesMax: 1 << 20,
  messageBytesMax: 4 << 20,
  acked,
  standing: new Set(standing),
});
const never = new AbortController().signal;

function streamOf(ledger: Ledger) {
  const requests = new Requests(ledger, create(HelloSchema, { slots: ledger.freeSlots }));
  const messages = requests[Symbol.asyncIterator]();
  return { requests, next: async () => (await messages.next()).value as WorkRequest };
}

test("nothing is sent before the welcome, then the newest of everything", async () => {
  const ledger = new Ledger(2);
  const { requests, next } = streamOf(ledger);
  assert.equal((await next()).hello?.slots, 2);
  ledger.welcome(terms([]));
  requests.open();
  ledger.begin("a");
  assert.deepEqual((await next()).acceptedLeaseIds, ["a"]);
  for (let fraction = 0; fraction <= 1; fraction += 0.25) {
    ledger.progress("a", create(ProgressSchema, { fraction }));
  }
  const { reports } = await next();
  assert.deepEqual(
    reports.map(({ news }) => (news.case === "progress" ? news.value.fraction : news.case)),
    [1],
  );
});

test("reports are sent again with their numbers after a reconnect, but those that were taken", async () => {
  const ledger = new Ledger(2);
  ledger.begin("a");
  for (const text of ["1", "2", "3"]) {
    ledger.log("a", LogLevel.INFO, text);
  }
  const { requests, next } = streamOf(ledger);
  await next();
  ledger.welcome(terms(["a"], 1));
  requests.open();
  const { reports } = await next();
  assert.deepEqual(
    reports.map(({ reportSequence }) => reportSequence),
    [2n, 3n],
  );
});

test("an attempt that lost its lease keeps its slot until it ends, and tells nothing more", () => {
  const ledger = new Ledger(4);
  ledger.begin("a");
  ledger.begin("b");
  assert.deepEqual(ledger.welcome(terms(["b"])), ["a"]);
  assert.equal(ledger.slots, 3);
  ledger.log("a", LogLevel.INFO, "late");
  ledger.end("a", released(), 0);
  assert.equal(ledger.slots, 4);
  assert.ok(ledger.isSettled);
});

test("output waits while there is no room, and goes on with what is acknowledged", async () => {
  const ledger = new Ledger(1);
  ledger.begin("a");
  const size = ledger.room.size - 192;
  await ledger.output("a", create(OutputSchema), size, never);
  let isTaken = false;
  const second = ledger.output("a", create(OutputSchema), size, never).then(() => (isTaken = true));
  await Promise.resolve();
  assert.equal(isTaken, false);
  ledger.acknowledge(1);
  await second;
});

test("dropped log lines are counted", () => {
  const ledger = new Ledger(1);
  ledger.begin("a");
  while (ledger.room.free > 20_000) {
    ledger.log("a", LogLevel.INFO, "x".repeat(16 * 1024));
  }
  const before = ledger.reports.length;
  ledger.log("a", LogLevel.INFO, "y".repeat(16 * 1024));
  ledger.log("a", LogLevel.INFO, "y".repeat(16 * 1024));
  ledger.log("a", LogLevel.INFO, "y".repeat(16 * 1024));
  const kept = ledger.reports.length - before;
  ledger.end("a", released(), 0);
  const texts = ledger.reports.flatMap(({ news }) => (news?.case === "log" ? [news.value.text] : []));
  assert.match(texts.at(-1) ?? "", new RegExp(`^${3 - kept} log lines were dropped here`));
});

test("who waits for room can leave, and lets in who waits behind", async () => {
  const room = new Room(10);
  room.tryTake(8);
  const leaving = new AbortController();
  const first = room.take(9, leaving.signal);
  const second = room.take(2, never);
  leaving.abort(new Error("left"));
  await assert.rejects(first, /left/);
  assert.equal(await second, 2);
});

test("messages of a hundred thousand leases fit what servers read", async () => {
  const ledger = new Ledger(100_000);
  const leases = Array.from({ length: 100_000 }, (_, i) => String(i).padStart(36, "0"));
  leases.forEach((lease) => {
    ledger.begin(lease);
  });
  const { requests, next } = streamOf(ledger);
  await next();
  ledger.welcome(terms(leases));
  requests.open();
  const data = new Uint8Array(1 << 20);
  const chunk = create(OutputSchema, { payload: { body: { case: "data", value: data } } });
  await ledger.output("0".repeat(36), chunk, data.length, never);
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
