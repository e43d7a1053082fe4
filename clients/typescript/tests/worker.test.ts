import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";

import {
  Client,
  IllegalState,
  InvalidRequest,
  JobCancelled,
  JobFailed,
  JobstreamError,
  type Context,
  PermanentError,
  RetryLater,
  Worker,
} from "jobstream";
import { startServer } from "jobstream/testing";
import { z } from "zod";

import { collect, gate, recordingLogger, working } from "./support/support.js";

const server = await startServer();
test.after(() => server.stop());

async function failureOf(client: Client, kind: string, input: unknown) {
  const job = await client.submit(kind, input, { maxAttempts: 2, retry: { initialBackoff: 1 } });
  const error: unknown = await job.result({ timeout: 10_000 }).catch((error: unknown) => error);
  assert.ok(error instanceof JobFailed, String(error));
  return error.failure;
}

test("input is parsed by a schema or a function, and errors name the field", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) => {
    worker.handle("schema", { input: z.object({ width: z.int() }) }, ({ width }) => width * 2);
    worker.handle("function", { input: (value) => BigInt(value as number) }, (value) => value * 2n);
  });
  assert.equal(await (await client.submit("schema", { width: 21 })).result(), 42);
  assert.equal(await (await client.submit("function", 2n ** 62n)).result(), 2n ** 63n);
  const { reason, message, retryable, attempt } = await failureOf(client, "schema", { width: "wide" });
  assert.deepEqual([reason, retryable, attempt], ["BAD_PAYLOAD", false, 1]);
  assert.match(message, /width: /);
});

test("any thrown value fails the attempt, and the worker continues", async () => {
  await using client = new Client(server.address);
  const nasty = {
    toString: () => {
      throw new Error("not even text");
    },
  };
  await using _ = await working(client, (worker) => {
    /* eslint-disable @typescript-eslint/only-throw-error -- handlers may throw anything. */
    worker.handle("nothing", () => {
      throw undefined;
    });
    worker.handle("nasty", () => {
      throw nasty;
    });
    /* eslint-enable @typescript-eslint/only-throw-error */
    const deep = (): number => 1 + deep();
    worker.handle("deep", deep);
    worker.handle("cycle", () => {
      const cycle: unknown[] = [];
      cycle.push(cycle);
      return cycle;
    });
    worker.handle("fine", () => "fine");
  });
  assert.equal((await failureOf(client, "nothing", 1)).message, "undefined");
  assert.match((await failureOf(client, "nasty", 1)).message, /cannot be converted to a string/);
  assert.equal((await failureOf(client, "deep", 1)).type, "RangeError");
  assert.equal((await failureOf(client, "cycle", 1)).type, "TypeError");
  assert.equal(await (await client.submit("fine")).result(), "fine");
});

test("a PermanentError fails the job, RetryLater sets the delay", async () => {
  await using client = new Client(server.address);
  let tries = 0;
  await using _ = await working(client, (worker) => {
    worker.handle("permanent", () => {
      throw new PermanentError("never");
    });
    worker.handle("later", () => {
      tries += 1;
      if (tries === 1) {
        throw new RetryLater(1);
      }
      return tries;
    });
  });
  assert.equal((await failureOf(client, "permanent", 1)).attempt, 1);
  const slow = { initialBackoff: 60_000 };
  assert.equal(await (await client.submit("later", 1, { maxAttempts: 2, retry: slow })).result({ timeout: 10_000 }), 2);
  assert.throws(() => new RetryLater(-1), InvalidRequest);
});

test("a too large result fails the attempt, a too large chunk rejects", async () => {
  await using client = new Client(server.address);
  const large = "x".repeat((1 << 20) + 1);
  await using _ = await working(client, (worker) => {
    worker.handle("result", () => large);
    worker.handle("huge", () => large.repeat(5));
    worker.handle("chunk", (_, context) => context.output(large));
  });
  assert.equal((await failureOf(client, "result", 1)).reason, "RESULT_TOO_LARGE");
  assert.match((await failureOf(client, "huge", 1)).message, /result is \d+ bytes, limit is 1048576: store it/);
  assert.match(
    (await failureOf(client, "chunk", 1)).message,
    /output is 1048577 bytes, limit is 1048576: send smaller/,
  );
});

test("a cancellation aborts the signal, and a later error does not count as a failure", async () => {
  await using client = new Client(server.address);
  const started = gate();
  const reasons: unknown[] = [];
  await using _ = await working(client, (worker) =>
    worker.handle("sleep", async (_, { signal }) => {
      started.open();
      await sleep(60_000, undefined, { signal }).finally(() => reasons.push(signal.reason));
    }),
  );
  const job = await client.submit("sleep");
  await started.passed;
  await job.cancel({ reason: "enough" });
  await assert.rejects(
    job.result(),
    (error) => error instanceof JobCancelled && !error.forced && error.cancelReason === "enough",
  );
  assert.equal((reasons[0] as Error).name, "AbortError");
});

test("watchers receive the events of a handler in order", async () => {
  await using client = new Client(server.address);
  let seen: Context | undefined;
  await using _ = await working(client, (worker) =>
    worker.handle("emit", async (_, context) => {
      seen = context;
      context.progressOf(1, 0, "files");
      context.progress(7, "é".repeat(1024));
      await context.output({ some: "json" }, "data");
      await context.output("text");
      context.log("careful", "warn");
    }),
  );
  const job = await client.submit("emit", null, { headers: { traceparent: "00-1" }, attemptTimeout: 60_000 });
  const events = (await collect(job.watch())).filter(({ type }) => type !== "state");
  assert.deepEqual(
    events
      .map((event) => {
        switch (event.type) {
          case "progress":
            return [event.fraction, event.message.length];
          case "output":
            return [event.channel, event.payload.value()];
          case "log":
            return [event.level, event.text];
          default:
            return event.type;
        }
      })
      .sort(),
    [
      [1, 512],
      ["data", { some: "json" }],
      ["", "text"],
      ["warn", "careful"],
    ].sort(),
  );
  assert.deepEqual(
    [seen?.jobId, seen?.attempt, seen?.kind, seen?.headers],
    [job.id, 1, "emit", { traceparent: "00-1" }],
  );
  const left = (seen?.deadline.getTime() ?? 0) - Date.now();
  assert.ok(left > 50_000 && left <= 60_000, String(left));
});

test("progress by units has a fraction if the total is positive", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) =>
    worker.handle("count", ({ done, total }: { done: number; total: number }, context) => {
      context.progressOf(done, total, "files");
    }),
  );
  const progressOf = async (done: number, total: number) => {
    const job = await client.submit("count", { done, total });
    await job.result({ timeout: 10_000 });
    const { progress } = await client.get(job.id);
    return [progress?.fraction, progress?.done, progress?.total, progress?.unit];
  };
  assert.deepEqual(await progressOf(1, 4), [0.25, 1, 4, "files"]);
  assert.deepEqual(await progressOf(3, 2), [1, 3, 2, "files"]);
  assert.deepEqual(await progressOf(0, 0), [undefined, 0, 0, "files"]);
});

test("drain waits for running attempts, stop releases them", async () => {
  await using client = new Client(server.address);
  const started = gate();
  const finish = gate();
  await using first = await working(client, (worker) =>
    worker.handle("slow", async () => {
      started.open();
      await finish.passed;
      return "finished";
    }),
  );
  const job = await client.submit("slow");
  await started.passed;
  const drained = first.worker.drain(10_000);
  finish.open();
  await drained;
  await first.ended;
  assert.equal(await job.result(), "finished");

  const again = gate();
  await using second = await working(client, (worker) =>
    worker.handle("ignoring", () => {
      again.open();
      return new Promise(() => undefined);
    }),
  );
  const ignoring = await client.submit("ignoring");
  await again.passed;
  await second.worker.stop();
  await second.ended;
  assert.equal(await ignoring.state(), "QUEUED");
  await ignoring.cancel();
});

test("a worker that the server rejects fails with its error", async () => {
  await using client = new Client(server.address);
  const worker = new Worker(client, { name: "no spaces" }).handle("x", () => 1);
  await assert.rejects(
    worker.run({ signals: false }),
    (error) => error instanceof InvalidRequest && error.message.includes("name"),
  );
  await assert.rejects(worker.run(), IllegalState);
  const stopped = new Worker(client).handle("x", () => 1);
  await stopped.stop();
  await stopped.run();
  await assert.rejects(new Worker(client).run(), /kinds is empty: add a handler/);
  assert.throws(() => new Worker(client, { slots: 0 }), /slots is 0: must be an integer from 1/);
  assert.throws(() => worker.handle("y", () => 1), IllegalState);
});

test("a worker ends with an error once its client is closed", async () => {
  const isClosed = (error: unknown) => error instanceof JobstreamError && error.reason === "CLIENT_CLOSED";
  const client = new Client(server.address);
  const logger = recordingLogger();
  const connected = await working(client, (worker) => worker.handle("x", () => 1), { logger });
  client.close();
  await assert.rejects(connected.ended, isClosed);
  assert.equal(logger.lines.length, 1, logger.lines.join("\n"));
  await assert.rejects(new Worker(client).handle("x", () => 1).run({ signals: false }), isClosed);

  const starting = new Client(server.address);
  const ended = new Worker(starting).handle("x", () => 1).run({ signals: false });
  starting.close();
  await assert.rejects(ended, isClosed);

  const unreachable = new Client("http://127.0.0.1:1");
  const onDisconnected = () => {
    unreachable.close();
  };
  const pausing = new Worker(unreachable, { logger, onDisconnected }).handle("x", () => 1);
  await assert.rejects(pausing.run({ signals: false }), isClosed);
});

test("an aborted signal of run drains the worker", async () => {
  await using client = new Client(server.address);
  const stop = new AbortController();
  const logger = recordingLogger();
  const worker = new Worker(client, {
    name: "brief",
    logger,
    onConnected: () => {
      stop.abort();
      throw new Error("error of a callback");
    },
  }).handle("x", () => 1);
  await worker.run({ signals: false, signal: stop.signal });
  assert.deepEqual(logger.lines, [
    `info jobstream: worker brief is connected to ${server.address}`,
    "warn jobstream: a callback of the worker failed: error of a callback",
    "info jobstream: worker brief is drained",
  ]);
});
