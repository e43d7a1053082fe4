import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, JobstreamError, Unavailable, Worker } from "jobstream";
import { startServer } from "jobstream/testing";
import { Client as WebClient } from "jobstream/web";

import { HttpFront } from "./support/http_front.js";
import { collect, gate, recordingLogger } from "./support/support.js";

const UNKNOWN = "0190aaaa-0000-7000-8000-000000000000";
const GET_RESULT = "/jobstream.v1.JobService/GetResult";
const PERMANENT = { 400: "INTERNAL", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "UNIMPLEMENTED" } as const;
const OTHER = { 413: "UNKNOWN", 500: "UNKNOWN" } as const;

function explains(error: unknown, front: HttpFront): error is JobstreamError {
  return (
    error instanceof JobstreamError &&
    error.message.includes(front.address) &&
    error.message.includes(`HTTP status ${front.status}`)
  );
}

for (const [status, code] of Object.entries({ ...PERMANENT, ...OTHER })) {
  test(`HTTP status ${status} of a proxy is ${code} and is not retried`, async () => {
    await using front = await HttpFront.with(Number(status));
    await using client = new Client(front.address);
    const isExpected = (error: unknown) => explains(error, front) && error.code === code;
    await assert.rejects(client.job(UNKNOWN).state(), isExpected);
    assert.deepEqual(front.paths, [GET_RESULT]);
    await assert.rejects(collect(client.job(UNKNOWN).watch()), isExpected);
    await assert.rejects(client.job(UNKNOWN).result(), isExpected);
    await assert.rejects(client.run("kind"), isExpected);
  });
}

test("headers that are too large fail a call at once with the way out", async () => {
  await using server = await startServer();
  const large = "x".repeat(9_000);
  for (const options of [{ token: large }, { metadata: { "x-large": large } }]) {
    await using client = new Client(server.address, options);
    await assert.rejects(client.get(UNKNOWN), (error) => {
      assert.ok(error instanceof JobstreamError && error.code === "UNKNOWN", String(error));
      const expected = `the headers of the call are larger than ${server.address} accepts (HTTP status 431)`;
      assert.equal(error.message, `${expected}: shorten the token or the metadata`);
      return true;
    });
  }
});

for (const status of [429, 502, 503, 504]) {
  test(`HTTP status ${status} of a proxy is Unavailable and is retried`, async () => {
    await using front = await HttpFront.with(status);
    await using client = new Client(front.address, { tries: { maxAttempts: 3, firstPause: 1 } });
    await assert.rejects(
      client.job(UNKNOWN).state(),
      (error) => explains(error, front) && error instanceof Unavailable && error.code === "UNAVAILABLE",
    );
    assert.deepEqual(front.paths, [GET_RESULT, GET_RESULT, GET_RESULT]);
  });
}

test("HTTP errors have the same codes over gRPC-Web", async () => {
  const codeOf = async (status: number) => {
    const answer = () => Promise.resolve(new Response("<!doctype html>", { status }));
    const client = new WebClient("http://127.0.0.1:1", { fetch: answer, tries: { maxAttempts: 1 } });
    const error: unknown = await client.get(UNKNOWN).catch((error: unknown) => error);
    assert.ok(error instanceof JobstreamError && error.message.includes(`HTTP status ${status}`), String(error));
    return error.code;
  };
  for (const [status, code] of Object.entries({ ...PERMANENT, ...OTHER, 503: "UNAVAILABLE" })) {
    assert.equal(await codeOf(Number(status)), code);
  }
});

test("HTTP status 401, 403 or 404 of a proxy ends a worker", async () => {
  for (const status of [401, 403, 404]) {
    await using front = await HttpFront.with(status);
    await using client = new Client(front.address);
    const worker = new Worker(client, { logger: recordingLogger() }).handle("x", () => 1);
    await assert.rejects(worker.run({ signals: false }), (error) => explains(error, front));
    assert.equal(front.paths.length, 1);
  }
});

test("a worker connects again after HTTP status 502 of a proxy", async () => {
  await using front = await HttpFront.with(502);
  await using client = new Client(front.address);
  const secondFailure = gate();
  const onDisconnected = () => {
    if (front.paths.length === 2) {
      secondFailure.open();
    }
  };
  const logger = recordingLogger();
  const worker = new Worker(client, { name: "w", logger, onDisconnected }).handle("x", () => 1);
  const ended = worker.run({ signals: false });
  await secondFailure.passed;
  await worker.stop();
  await ended;
  assert.match(logger.lines[0] ?? "", /^warn jobstream: worker w cannot connect: HTTP status 502 \(UNAVAILABLE\) from/);
});
