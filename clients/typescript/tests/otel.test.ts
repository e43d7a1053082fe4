// The spans of a job from its submit to its attempts, as a collector receives them from the exporter of OpenTelemetry.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SpanStatusCode, context, propagation, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import {
  Client,
  type Context,
  InvalidRequest,
  JobFailed,
  PermanentError,
  type TraceContext,
  type Worker,
} from "jobstream";
import { currentTraceContext, handlerTracing, submitTracing } from "jobstream/otel";
import { startServer } from "jobstream/testing";
import { build } from "esbuild";
import { z } from "zod";

import { type ReceivedSpan, startReceiver } from "./support/otlp.js";
import { Proxy } from "./support/proxy.js";
import { gate, working } from "./support/support.js";

const server = await startServer();
const receiver = await startReceiver();
const exporter = new OTLPTraceExporter({ url: receiver.address });
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
const tracer = trace.getTracer("test");

test.afterEach(() => {
  receiver.assertAllTaken();
});
test.after(async () => {
  await provider.shutdown();
  receiver[Symbol.dispose]();
  await server.stop();
});

function connect(): Client {
  return new Client(server.address, { submitInterceptors: [submitTracing()] });
}

const idsOf = ({ traceId, spanId }: ReceivedSpan) => ({ traceId, spanId });

test("a job of two attempts has a submit, a child of it and a new trace with a link", async () => {
  await using client = connect();
  const inner: (string | undefined)[] = [];
  const baggages: (string | undefined)[] = [];
  const handler = (_: unknown, { attempt }: Context) => {
    inner.push(trace.getActiveSpan()?.spanContext().spanId);
    baggages.push(propagation.getActiveBaggage()?.getEntry("tenant")?.value);
    if (attempt === 1) {
      throw new RangeError("too far");
    }
    return attempt;
  };
  await using _ = await working(client, (worker) => worker.handle("resize", handler), {
    interceptors: [handlerTracing()],
  });
  const job = await tracer.startActiveSpan("request", async (request) => {
    const baggage = propagation.createBaggage({ tenant: { value: "acme co" } });
    const active = propagation.setBaggage(context.active(), baggage);
    const submit = () =>
      client.submit("resize", 1, { queue: "media", maxAttempts: 2, retry: { initialBackoff: 1, jitter: 0 } });
    const job = await context.with(active, submit);
    request.end();
    return job;
  });
  assert.equal(await job.result(), 2);
  const [submit, request, first, second, ...settles] = await receiver.spans(
    "submit media",
    "request",
    ["process media", 1],
    ["process media", 2],
    ["settle media", 1],
    ["settle media", 2],
  );
  assert.deepEqual([submit.kind, first.kind, second.kind], ["PRODUCER", "CONSUMER", "CONSUMER"]);
  assert.deepEqual([submit.traceId, submit.parentSpanId], [request.traceId, request.spanId]);
  assert.deepEqual([first.traceId, first.parentSpanId], [submit.traceId, submit.spanId]);
  assert.notEqual(second.traceId, submit.traceId);
  assert.equal(second.parentSpanId, "");
  assert.deepEqual([submit.links, first.links, second.links], [[], [idsOf(submit)], [idsOf(submit)]]);
  const common = {
    "jobstream.job.kind": "resize",
    "messaging.destination.name": "media",
    "messaging.message.id": job.id,
    "messaging.system": "jobstream",
  };
  const processing = { "messaging.operation.name": "process", "messaging.operation.type": "process" };
  assert.deepEqual(submit.attributes, {
    ...common,
    "messaging.operation.name": "submit",
    "messaging.operation.type": "send",
  });
  assert.deepEqual(first.attributes, {
    ...common,
    ...processing,
    "jobstream.job.attempt": 1,
    "error.type": "RangeError",
  });
  assert.deepEqual(second.attributes, { ...common, ...processing, "jobstream.job.attempt": 2 });
  for (const [index, process] of [first, second].entries()) {
    const settle = settles[index];
    assert.deepEqual(
      [settle?.kind, settle?.traceId, settle?.parentSpanId, settle?.status.code],
      ["CLIENT", process.traceId, process.spanId, "UNSET"],
    );
    assert.deepEqual(settle?.attributes, {
      ...common,
      "messaging.operation.name": "settle",
      "messaging.operation.type": "settle",
      "jobstream.job.attempt": index + 1,
    });
  }
  assert.deepEqual(
    [submit.status.code, first.status, second.status.code],
    ["UNSET", { code: "ERROR", message: "too far" }, "UNSET"],
  );
  assert.equal(first.events[0]?.attributes["exception.type"], "RangeError");
  assert.deepEqual(inner, [first.spanId, second.spanId]);
  assert.deepEqual(baggages, ["acme co", "acme co"]);
  assert.equal((await client.get(job.id)).traceContext?.traceparent, `00-${submit.traceId}-${submit.spanId}-01`);
});

test("a trace context of the caller is the parent of the submit", async () => {
  await using client = connect();
  const traceContext: TraceContext = {
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    tracestate: "vendor=1",
    baggage: "tenant=acme",
  };
  const job = await client.submit("idle", 1, { traceContext });
  const [submit] = await receiver.spans("submit default");
  assert.deepEqual(
    [submit.traceId, submit.parentSpanId, submit.traceState],
    ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "vendor=1"],
  );
  assert.deepEqual((await client.get(job.id)).traceContext, {
    traceparent: `00-${submit.traceId}-${submit.spanId}-01`,
    tracestate: "vendor=1",
    baggage: "tenant=acme",
  });
});

test("a retry takes the current trace context", async () => {
  await using client = new Client(server.address);
  const failed = await client.submit("idle", 1, { timeout: 1 });
  await assert.rejects(failed.result(), JobFailed);
  const span = tracer.startSpan("operator");
  const retry = () => client.retry(failed.id, { traceContext: currentTraceContext() });
  const retried = await context.with(trace.setSpan(context.active(), span), retry);
  const { traceId, spanId } = span.spanContext();
  assert.deepEqual((await client.get(retried.id)).traceContext, { traceparent: `00-${traceId}-${spanId}-01` });
  assert.equal(currentTraceContext(), undefined);
});

test("errors have a type and a status, and the message of a bad payload is left out", async () => {
  await using client = connect();
  const prepare = (worker: Worker) => {
    worker.handle("parses", { input: z.object({ width: z.int() }) }, ({ width }) => width);
    worker.handle("fails", () => {
      throw new PermanentError("never");
    });
  };
  await using _ = await working(client, prepare, { interceptors: [handlerTracing()] });
  await assert.rejects(client.submit("no spaces"), InvalidRequest);
  const [refused] = await receiver.spans("submit default");
  assert.equal(refused.attributes["error.type"], "InvalidRequest");
  assert.equal(refused.status.code, SpanStatusCode[SpanStatusCode.ERROR]);
  for (const [kind, type, message] of [
    ["parses", "BAD_PAYLOAD", ""],
    ["fails", "PermanentError", "never"],
  ] as const) {
    await assert.rejects(client.run(kind, { width: "secret" }), JobFailed);
    const [submit, attempt, settle] = await receiver.spans("submit default", "process default", "settle default");
    assert.deepEqual([submit.status.code, settle.status.code], ["UNSET", "UNSET"]);
    assert.deepEqual([attempt.attributes["error.type"], attempt.status], [type, { code: "ERROR", message }]);
    assert.ok(!JSON.stringify(attempt).includes("secret"));
  }
});

test("an attempt that is cancelled is no error, and a job without a trace begins one", async () => {
  await using plain = new Client(server.address);
  const handler = (_: unknown, { signal }: Context) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        reject(new Error("stopped"));
      });
    });
  await using _ = await working(plain, (worker) => worker.handle("sleep", handler), {
    interceptors: [handlerTracing()],
  });
  const job = await plain.submit("sleep");
  for await (const event of job.watch()) {
    if (event.type === "state" && event.state === "RUNNING") {
      await job.cancel();
    }
  }
  const [attempt] = await receiver.spans("process default", "settle default");
  assert.deepEqual([attempt.parentSpanId, attempt.links, attempt.status.code], ["", [], "UNSET"]);
});

test("a lost lease is the error of the span that settles the attempt", async () => {
  await using plain = new Client(server.address);
  const [started, finish] = [gate(), gate()];
  const hold = async () => {
    started.open();
    await finish.passed;
  };
  await using _ = await working(plain, (worker) => worker.handle("hold", hold), { interceptors: [handlerTracing()] });
  const job = await plain.submit("hold");
  await started.passed;
  await job.cancel({ grace: 0 });
  await assert.rejects(job.result(), { name: "JobCancelled" });
  finish.open();
  const [process, settle] = await receiver.spans("process default", "settle default");
  assert.equal(settle.parentSpanId, process.spanId);
  assert.equal(settle.attributes["error.type"], "LEASE_LOST");
  assert.match(settle.status.message, /^the lease was lost/);
  assert.deepEqual([process.status.code, settle.status.code], ["UNSET", "ERROR"]);
});

test("a worker that ends before the acknowledgement ends the span that settles the attempt", async () => {
  await using plain = new Client(server.address);
  await using proxy = await Proxy.before(server.address);
  await using through = new Client(proxy.address);
  const [started, finish] = [gate(), gate()];
  const hold = async () => {
    started.open();
    await finish.passed;
  };
  await using lost = await working(through, (worker) => worker.handle("lost", hold), {
    interceptors: [handlerTracing()],
  });
  await plain.submit("lost");
  await started.passed;
  proxy.stall({ isNewToo: true });
  finish.open();
  await lost.worker.drain();
  const [, settle] = await receiver.spans("process default", "settle default");
  assert.equal(settle.attributes["error.type"], "Unavailable");
  assert.match(settle.status.message, /^the server did not acknowledge the end/);
});

test("an attempt that is not sampled has no span", async () => {
  await using plain = new Client(server.address);
  await using _ = await working(plain, (worker) => worker.handle("quiet", () => trace.getActiveSpan()?.isRecording()), {
    interceptors: [handlerTracing()],
  });
  const traceContext = { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00" };
  assert.equal(await plain.run("quiet", 1, { traceContext }), false);
  // The spans of a later attempt would arrive after those of this one.
  await plain.run("quiet");
  await receiver.spans("process default", "settle default");
});

test("the client and the worker do not need OpenTelemetry", async () => {
  const entries = ["jobstream", "jobstream/web", "jobstream/testing"];
  const { metafile } = await build({
    stdin: { contents: entries.map((entry) => `import "${entry}";`).join("\n"), resolveDir: import.meta.dirname },
    bundle: true,
    external: ["node:*"],
    format: "esm",
    platform: "node",
    ignoreAnnotations: true,
    metafile: true,
    write: false,
  });
  const inputs = Object.keys(metafile.inputs);
  assert.ok(inputs.some((path) => path.endsWith("dist/worker/worker.js")));
  assert.deepEqual(
    inputs.filter((path) => path.includes("opentelemetry")),
    [],
  );
});
