// What a handler learns of the end of its attempt.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  Client,
  type Context,
  type HandlerInterceptor,
  IllegalState,
  InvalidRequest,
  type JobstreamError,
  Unavailable,
  type Worker,
} from "jobstream";
import { startServer } from "jobstream/testing";
import { type WorkRequest, type WorkResponseSchema, WorkerService } from "jobstream/v1";

import { Proxy } from "./support/proxy.js";
import { gate, recordingLogger, working } from "./support/support.js";

const server = await startServer({ args: ["--worker-reconnect-grace", "20s"] });
test.after(() => server.stop());

/** A handler of kind `hold` that returns once `finish` is open, and the error with which its attempt was settled. */
function holding() {
  const [started, finish, settled] = [gate(), gate(), gate<JobstreamError | undefined>()];
  const prepare = (worker: Worker) =>
    worker.handle("hold", async (_, context) => {
      context.onSettled(settled.open);
      started.open();
      await finish.passed;
      return "held";
    });
  return { started: started.passed, finish: finish.open, settled: settled.passed, prepare };
}

function assertIsLost(error: JobstreamError | undefined): void {
  assert.ok(error instanceof IllegalState);
  assert.deepEqual([error.code, error.reason], ["FAILED_PRECONDITION", "LEASE_LOST"]);
}

test("callbacks run in order once the server has acknowledged the result, and not before", async () => {
  await using client = new Client(server.address);
  await using proxy = await Proxy.before(server.address);
  await using through = new Client(proxy.address);
  const seen: string[] = [];
  const [finish, returned, settled] = [gate(), gate(), gate()];
  const around: HandlerInterceptor = async (context, next) => {
    context.onSettled((error) => seen.push(`interceptor ${String(error)}`));
    const result = await next();
    context.onSettled(() => {
      settled.open();
    });
    seen.push("returned");
    returned.open();
    return result;
  };
  const hold = async (_: unknown, context: Context) => {
    context.onSettled((error) => seen.push(`handler ${String(error)}`));
    context.log("started");
    await finish.passed;
    return "held";
  };
  await using _ = await working(through, (worker) => worker.handle("once", hold), {
    interceptors: [around],
    onConnected: () => seen.push("connected"),
  });
  const job = await client.submit("once");
  for await (const event of job.watch()) {
    if (event.type === "log") {
      break;
    }
  }
  proxy.stall();
  finish.open();
  await returned.passed;
  proxy.cut();
  await settled.passed;
  assert.equal(await job.result(), "held");
  assert.deepEqual(seen, ["connected", "returned", "connected", "interceptor undefined", "handler undefined"]);
});

test("a failed attempt is settled without an error, each attempt once", async () => {
  await using client = new Client(server.address);
  const seen: unknown[] = [];
  const contexts: Context[] = [];
  const fails = (_: unknown, context: Context) => {
    contexts.push(context);
    context.onSettled((error) => seen.push([context.attempt, error]));
    throw new Error("again");
  };
  await using started = await working(client, (worker) => worker.handle("fails", fails));
  const job = await client.submit("fails", 1, { maxAttempts: 2, retry: { initialBackoff: 0, jitter: 0 } });
  await assert.rejects(job.result(), { name: "JobFailed" });
  await started.worker.drain();
  assert.deepEqual(seen, [
    [1, undefined],
    [2, undefined],
  ]);
  assert.throws(() => {
    contexts[0]?.onSettled(() => undefined);
  }, IllegalState);
});

test("an attempt whose lease was revoked is settled with LEASE_LOST after its handler has returned", async () => {
  await using client = new Client(server.address);
  const { started, finish, settled, prepare } = holding();
  await using _ = await working(client, prepare);
  const job = await client.submit("hold");
  await started;
  await job.cancel({ grace: 0 });
  await assert.rejects(job.result(), { name: "JobCancelled" });
  finish();
  assertIsLost(await settled);
});

test("an attempt that a restarted server does not know is settled with LEASE_LOST", async () => {
  const first = await startServer();
  await using client = new Client(first.address);
  const { started, finish, settled, prepare } = holding();
  let connects = 0;
  const onConnected = () => {
    connects += 1;
    if (connects === 2) {
      finish();
    }
  };
  await using _ = await working(client, prepare, { onConnected });
  await client.submit("hold");
  await started;
  await first.stop();
  const second = await startServer({ listen: new URL(first.address).host });
  assertIsLost(await settled);
  await second.stop();
});

test("an attempt whose end the server refuses is settled with the error of the refusal", async () => {
  for (const [code, message] of [
    [Code.FailedPrecondition, "the lease is lost"],
    [Code.InvalidArgument, "the result is too large"],
  ] as const) {
    await using refusing = await refusingServer(code, message);
    await using client = new Client(refusing.address);
    const { finish, settled, prepare } = holding();
    finish();
    await using _ = await working(client, prepare);
    const error = await settled;
    assert.ok(error?.message.startsWith(message), String(error));
    assert.ok(error instanceof (code === Code.FailedPrecondition ? IllegalState : InvalidRequest));
  }
});

test("an attempt that is not acknowledged before the worker ends is settled with Unavailable", async () => {
  await using client = new Client(server.address);
  await using proxy = await Proxy.before(server.address);
  await using through = new Client(proxy.address);
  const { started, finish, settled, prepare } = holding();
  await using holder = await working(through, prepare);
  await client.submit("hold");
  await started;
  proxy.stall({ isNewToo: true });
  finish();
  await holder.worker.drain();
  assert.ok((await settled) instanceof Unavailable);
});

test("an attempt whose handler outlives the drain is settled with LEASE_LOST", async () => {
  await using client = new Client(server.address);
  const { started, finish, settled, prepare } = holding();
  await using holder = await working(client, prepare);
  const job = await client.submit("hold");
  await started;
  await holder.worker.stop();
  finish();
  assertIsLost(await settled);
  await job.cancel();
});

test("an error of a callback is logged once, and the other callbacks run", async () => {
  await using client = new Client(server.address);
  const logger = recordingLogger();
  const settled = gate();
  const handler = (_: unknown, context: Context) => {
    context.onSettled(() => {
      throw new RangeError("too far");
    });
    context.onSettled(() => Promise.reject(new TypeError("too late")));
    context.onSettled(() => {
      settled.open();
    });
  };
  await using _ = await working(client, (worker) => worker.handle("raises", handler), { logger });
  const job = await client.submit("raises", "secret");
  await settled.passed;
  await job.result();
  const lines = logger.lines.filter((line) => line.startsWith("warn"));
  const begin = `warn jobstream: a callback of onSettled failed: job=${job.id} kind=raises queue=default attempt=1`;
  assert.deepEqual(lines, [`${begin} error="too far"`, `${begin} error="too late"`]);
  assert.deepEqual(
    logger.errors.map((error) => error instanceof Error && error.name),
    ["RangeError", "TypeError"],
  );
});

test("a refusal whose acknowledgement was lost is applied at the reconnect", async () => {
  const ended = new Map<string, bigint>();
  await using repeating = await scriptedServer(async function* (requests) {
    const terms = { workerId: "w", lease: { seconds: 30n }, pingInterval: { seconds: 10n } };
    if (ended.size === 0) {
      const assigned = { attempt: 1, kind: "settles", timeLeft: { seconds: 60n } };
      const assignments = ["a", "b", "c"].map((id) => ({ ...assigned, leaseId: id, jobId: id }));
      yield { welcome: terms, assignments };
      for await (const { reports } of requests) {
        for (const { leaseId, reportSequence } of reports) {
          ended.set(leaseId, reportSequence);
        }
        if (ended.has("a") && ended.has("b") && ended.has("c")) {
          throw new ConnectError("cut before the acknowledgement", Code.Unavailable);
        }
      }
    }
    // Of a and c the first may be refused, too.
    const [unknown = 0n] = [...ended].flatMap(([lease, number]) => (lease === "b" ? [] : [number]));
    const refusals = [{ reportSequence: ended.get("b") ?? 0n, leaseId: "b", error: { code: Code.FailedPrecondition } }];
    yield { welcome: { ...terms, ackedReportSequence: 3n, refusals, unknownReportSequence: unknown } };
    // Until the worker ends.
    await requests[Symbol.asyncIterator]().next();
  });
  await using client = new Client(repeating.address);
  const settled = new Map(["a", "b", "c"].map((lease) => [lease, gate<JobstreamError | undefined>()]));
  const settles = (_: unknown, context: Context) => {
    context.onSettled((error) => settled.get(context.jobId)?.open(error));
  };
  await using _ = await working(client, (worker) => worker.handle("settles", settles));
  const refused = await settled.get("b")?.passed;
  const [unknown = "", recorded = ""] = [...ended.keys()].filter((lease) => lease !== "b");
  assert.ok(refused instanceof IllegalState);
  assert.ok((await settled.get(unknown)?.passed) instanceof Unavailable);
  assert.equal(await settled.get(recorded)?.passed, undefined);
});

/** A server that assigns one attempt of kind `hold` and refuses its end. */
async function refusingServer(code: Code, message: string) {
  return scriptedServer(async function* (requests) {
    yield { welcome: { workerId: "w", lease: { seconds: 30n }, pingInterval: { seconds: 10n } } };
    yield { assignments: [{ leaseId: "lease", jobId: "job", attempt: 1, kind: "hold", timeLeft: { seconds: 60n } }] };
    for await (const { reports } of requests) {
      for (const { reportSequence, leaseId } of reports) {
        const refusals = [{ reportSequence, leaseId, error: { code, message } }];
        yield { ack: { reportSequence, refusals } };
      }
    }
  });
}

/** A server that answers each Work stream with these messages. */
async function scriptedServer(
  work: (requests: AsyncIterable<WorkRequest>) => AsyncIterable<MessageInitShape<typeof WorkResponseSchema>>,
) {
  const routes = (router: ConnectRouter) => {
    router.rpc(WorkerService.method.work, work);
  };
  const scripted = createServer(connectNodeAdapter({ routes }));
  scripted.listen(0, "127.0.0.1");
  await once(scripted, "listening");
  return {
    address: `http://127.0.0.1:${(scripted.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      scripted.close();
      await once(scripted, "close");
    },
  };
}
