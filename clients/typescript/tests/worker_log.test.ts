// The log lines of a worker.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, JobFailed, Payload, type Worker } from "jobstream";
import { startServer } from "jobstream/testing";
import { z } from "zod";

import { recordingLogger, working } from "./support/support.js";

const server = await startServer();
test.after(() => server.stop());

test("each failed attempt is one warning without its payload", async () => {
  await using client = new Client(server.address);
  const logger = recordingLogger();
  const prepare = (worker: Worker) => {
    worker.handle("fails", () => {
      throw new RangeError("too\n  far");
    });
    worker.handle("parses", { input: z.object({ width: z.int() }) }, ({ width }) => width);
  };
  await using _ = await working(client, prepare, { name: "failing", logger });
  const failed = await client.submit("fails", "secret", { maxAttempts: 2, retry: { initialBackoff: 1 } });
  await assert.rejects(failed.result({ timeout: 10_000 }), JobFailed);
  const unfit = await client.submit("parses", Payload.text("secret", "application/json"));
  await assert.rejects(unfit.result({ timeout: 10_000 }), JobFailed);
  const line = (id: string, kind: string, attempt: number, error: string) =>
    `warn jobstream: attempt failed: job=${id} kind=${kind} queue=default attempt=${attempt} ${error}`;
  const failure = (attempt: number) => line(failed.id, "fails", attempt, 'error_type=RangeError error="too far"');
  assert.deepEqual(logger.lines, [
    `info jobstream: worker failing is connected to ${server.address}`,
    failure(1),
    failure(2),
    line(
      unfit.id,
      "parses",
      1,
      'error_type=BAD_PAYLOAD error="the input does not fit the handler, the failure of the job has details"',
    ),
  ]);
  // The handler's errors have their stack, and the error of the parser, which may quote the payload, is not logged.
  assert.deepEqual(
    logger.errors.map((error) => error instanceof RangeError && error.stack?.includes("worker_log.test")),
    [true, true],
  );
});

test("ten failed attempts a second are logged, the others are counted", async () => {
  await using client = new Client(server.address);
  const logger = recordingLogger();
  const prepare = (worker: Worker) => {
    worker.handle("fails", () => {
      throw new Error("again");
    });
  };
  const { worker, ended } = await working(client, prepare, { logger });
  const retry = { initialBackoff: 0, jitter: 0 };
  await assert.rejects((await client.submit("fails", 1, { maxAttempts: 100, retry })).result(), JobFailed);
  await worker.drain();
  await ended;
  const counts = logger.lines.flatMap(
    (line) => /(\d+) more attempts failed: at most 10 a second/.exec(line)?.[1] ?? [],
  );
  const logged = logger.lines.filter((line) => line.includes("attempt failed:")).length;
  assert.ok(logged >= 10 && logged < 100, `${logged} lines`);
  assert.equal(logged + counts.reduce((sum, count) => sum + Number(count), 0), 100);
  assert.match(logger.lines.at(-1) ?? "", /is drained$/);
});

test("an error of the logger does not end the worker", async () => {
  await using client = new Client(server.address);
  const fail = () => {
    throw new Error("the log is full");
  };
  await using _ = await working(client, (worker) => worker.handle("fails", fail), {
    logger: { info: fail, warn: fail },
  });
  for (const input of [1, 2]) {
    const job = await client.submit("fails", input);
    await assert.rejects(job.result({ timeout: 10_000 }), { name: "JobFailed", message: /the log is full/ });
  }
});
