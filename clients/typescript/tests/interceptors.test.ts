// Interceptors around submits and around handlers, and the program of the README with them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";

import { transform } from "esbuild";
import {
  Client,
  type HandlerInterceptor,
  InvalidRequest,
  JobFailed,
  Payload,
  PermanentError,
  type SubmitInterceptor,
} from "jobstream";
import { startServer } from "jobstream/testing";

import { working } from "./support/support.js";

const server = await startServer();
test.after(() => server.stop());

const run = promisify(execFile);
const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

test("the program of the README encrypts payloads and labels jobs with their tenant", async () => {
  const program = /## Interceptors\n[^]*?```ts\n([^]*?)```/.exec(readme)?.[1] ?? "";
  const { code } = await transform(program.replace('"jobstream"', JSON.stringify(import.meta.resolve("jobstream"))), {
    loader: "ts",
  });
  const env = { ...process.env, JOBSTREAM_ADDRESS: server.address, PAYLOAD_KEY: "5e".repeat(32) };
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code], { env });
  assert.equal(stdout, "hello Ada of acme\n");
  await using client = new Client(server.address);
  for await (const { id } of client.list({ kind: "greet", labels: { tenant: "acme" } })) {
    const { payload, outcome } = await client.get(id);
    assert.ok(outcome?.type === "result");
    for (const stored of [payload, outcome.payload]) {
      assert.equal(stored.contentType, "application/x-encrypted");
      assert.ok(!Buffer.from(stored.bytes()).includes("Ada"));
    }
    return;
  }
  assert.fail("the job is not labelled");
});

/** Appends its name to the label `path` of each job. */
function passing(name: string, seen: string[]): SubmitInterceptor {
  return async (job, next) => {
    seen.push(`${name} ${job.kind} ${job.queue}`);
    const submitted = await next({ ...job, labels: { ...job.labels, path: `${job.labels["path"] ?? ""}${name}` } });
    seen.push(`${name} ${String(submitted.jobId === job.jobId)}`);
    return submitted;
  };
}

test("submit, submitAll and run pass through the interceptors, the first outermost", async () => {
  const seen: string[] = [];
  await using client = new Client(server.address, { submitInterceptors: [passing("a", seen), passing("b", seen)] });
  const jobIds: string[] = [];
  await using _ = await working(client, (worker) =>
    worker.handle("path", (_, { jobId, labels }) => {
      jobIds.push(jobId);
      return labels["path"];
    }),
  );
  const around = ["a path default", "b path default", "b true", "a true"];
  assert.equal(await (await client.submit("path")).result(), "ab");
  assert.deepEqual(seen.splice(0), around);
  assert.equal(await client.run("path"), "ab");
  assert.deepEqual(seen.splice(0), around);
  const [first, second] = await client.submitAll([{ kind: "path" }, { kind: "path", labels: { path: "0" } }]);
  assert.deepEqual([await first?.job?.result(), await second?.job?.result()], ["ab", "0ab"]);
  assert.equal(seen.length, 2 * around.length);
  assert.equal(new Set(jobIds).size, 4);
});

test("an interceptor refuses a job, in a batch only that one", async () => {
  let sent = 0;
  const refuse: SubmitInterceptor = (job, next) => {
    if (job.payload.json() === "bad") {
      throw InvalidRequest.of("job.payload", "is bad");
    }
    sent += 1;
    return next(job);
  };
  await using client = new Client(server.address, { submitInterceptors: [refuse] });
  await assert.rejects(client.submit("idle", "bad"), InvalidRequest);
  await assert.rejects(client.run("idle", "bad"), InvalidRequest);
  const results = await client.submitAll(["good", "bad", "good"].map((input) => ({ kind: "idle", input })));
  assert.deepEqual(
    results.map(({ error }) => error?.message),
    [undefined, "job.payload is bad", undefined],
  );
  assert.equal(sent, 2);
});

test("an interceptor that fails after the submit ends the stream of a run", async () => {
  const signals: AbortSignal[] = [];
  await using client = new Client(server.address, {
    submitInterceptors: [
      async (job, next) => {
        await next(job);
        throw new RangeError("too late");
      },
    ],
    interceptors: [
      (next) => (request) => {
        if (request.method.name === "Run") {
          signals.push(request.signal);
        }
        return next(request);
      },
    ],
  });
  await assert.rejects(client.run("idle"), RangeError);
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true],
  );
});

test("an interceptor that does not call next submits nothing and returns another job", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) => worker.handle("sum", () => 42));
  const { id: jobId } = await client.submit("sum");
  const reuse: SubmitInterceptor = () => Promise.resolve({ jobId, waitReason: undefined });
  await using reusing = new Client(server.address, { submitInterceptors: [reuse] });
  assert.equal((await reusing.submit("sum")).id, jobId);
  assert.equal(await reusing.run("sum"), 42);
  assert.equal((await reusing.submitAll([{ kind: "sum" }]))[0]?.job?.id, jobId);
});

test("handler interceptors change the input and the result, the first outermost", async () => {
  await using client = new Client(server.address);
  const wrap =
    (name: string): HandlerInterceptor =>
    async (context, next) => {
      const input = context.payload.json() as string;
      return Payload.json(`${name}(${String((await next(Payload.json(input + name))).json())})`);
    };
  const same: HandlerInterceptor = (_, next) => next();
  await using _ = await working(
    client,
    (worker) =>
      worker.handle("echo", (input: string, { payload, attempt }) => `${input} ${String(payload.json())} ${attempt}`),
    { interceptors: [wrap("a"), same, wrap("b")] },
  );
  assert.equal(await client.run("echo", "x"), "a(b(xab xab 1))");
});

test("an error of a handler interceptor fails the attempt, and it sees the errors of the handler", async () => {
  await using client = new Client(server.address);
  const seen: unknown[] = [];
  const interceptor: HandlerInterceptor = async (context, next) => {
    if (context.kind === "refused") {
      throw new PermanentError("not here");
    }
    try {
      const result = await next();
      return context.kind === "forgetful" ? (undefined as unknown as Payload) : result;
    } catch (error) {
      seen.push((error as Error).name);
      throw error;
    }
  };
  await using _ = await working(
    client,
    (worker) => {
      worker.handle("refused", () => 1);
      worker.handle("forgetful", () => 1);
      worker.handle("parses", { input: () => assert.fail("never") }, () => 1);
      worker.handle("fails", () => {
        throw new RangeError("too far");
      });
    },
    { interceptors: [interceptor] },
  );
  const failureOf = async (kind: string) => {
    const error: unknown = await client.run(kind).catch((error: unknown) => error);
    assert.ok(error instanceof JobFailed, String(error));
    return [error.failure.reason, error.failure.type, error.failure.retryable];
  };
  assert.deepEqual(await failureOf("refused"), ["HANDLER", "PermanentError", false]);
  assert.deepEqual(await failureOf("forgetful"), ["HANDLER", "TypeError", true]);
  assert.deepEqual(await failureOf("parses"), ["BAD_PAYLOAD", "", false]);
  assert.deepEqual(await failureOf("fails"), ["HANDLER", "RangeError", true]);
  assert.deepEqual(seen, ["BadPayload", "RangeError"]);
});

test("the handler gets the trace context of the submit, without the parts that are too large", async () => {
  await using client = new Client(server.address);
  await using _ = await working(client, (worker) =>
    worker.handle("trace", (_, context) => context.traceContext ?? null),
  );
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const whole = { traceparent, tracestate: "vendor=1", baggage: "tenant=acme" };
  assert.deepEqual(await client.run("trace", 1, { traceContext: whole }), whole);
  const large = { traceparent, tracestate: `v=${"x".repeat(511)}`, baggage: `t=${"x".repeat(4095)}` };
  const job = await client.submit("trace", 1, { traceContext: large });
  assert.deepEqual(await job.result(), { traceparent });
  assert.deepEqual((await client.get(job.id)).traceContext, { traceparent });
  assert.equal(await client.run("trace", 1), null);
  await assert.rejects(client.submit("trace", 1, { traceContext: { traceparent: "00-0-0-01" } }), InvalidRequest);
});
