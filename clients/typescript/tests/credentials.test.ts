// What a client sends with each call, and what it never sends or prints.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import {
  Client,
  InvalidRequest,
  type JobstreamError,
  type NodeClientOptions,
  PermissionDenied,
  ResourceExhausted,
  Unauthenticated,
  Unavailable,
  Worker,
} from "jobstream";
import { Client as WebClient } from "jobstream/web";

import { readStatus } from "#dist/client/status.js";
import { ErrorInfoSchema, RetryInfoSchema } from "#dist/gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "#dist/gen/google/rpc/status_pb.js";
import { ExpiringServer } from "./support/expiring_server.js";
import { HttpFront } from "./support/http_front.js";
import { collect, recordingLogger } from "./support/support.js";

const UNKNOWN = "0190aaaa-0000-7000-8000-000000000000";
const SECRET = "jst_secret";

/** Makes a call of each form. Returns the errors. */
async function everyCall(client: Client): Promise<unknown[]> {
  const worker = new Worker(client, { logger: recordingLogger() }).handle("x", () => 1);
  const calls = [
    () => client.get(UNKNOWN),
    () => client.purgeQueue("q"),
    () => client.job(UNKNOWN).result(),
    () => collect(client.job(UNKNOWN).watch()),
    () => client.run("x"),
    () => worker.run({ signals: false }),
    () => client.stubs.admin.listQueues({}),
  ];
  const errors: unknown[] = [];
  for (const call of calls) {
    errors.push(await call().catch((error: unknown) => error));
  }
  return errors;
}

test("token and metadata are sent with every call and every stream", async () => {
  await using front = await HttpFront.with(403);
  const metadata = { "X-Tenant": "media" };
  await using client = new Client(front.address, { token: `${SECRET}\n`, metadata });
  const errors = await everyCall(client);
  assert.equal(errors.filter((error) => error instanceof PermissionDenied).length, 6);
  // The run and its look-up of the boot id are two calls.
  assert.equal(front.headers.length, 8);
  for (const headers of front.headers) {
    assert.deepEqual([headers.authorization, headers["x-tenant"]], [`Bearer ${SECRET}`, "media"]);
  }
});

test("a refused call is repeated once with a new token of the function, and then ends", async () => {
  await using front = await HttpFront.with(401);
  let calls = 0;
  await using client = new Client(front.address, { token: () => Promise.resolve(`token-${++calls}`) });
  assert.ok((await client.get(UNKNOWN).catch((error: unknown) => error)) instanceof Unauthenticated);
  assert.deepEqual(
    front.headers.map(({ authorization }) => authorization),
    ["Bearer token-1", "Bearer token-2"],
  );
  const errors = await everyCall(client);
  assert.equal(errors.filter((error) => error instanceof Unauthenticated).length, 6);
  const count = (path: string) => front.paths.filter((sent) => sent.endsWith(path)).length;
  for (const path of ["/WatchResult", "/Run", "/Work", "/PurgeQueue", "/GetResult"]) {
    assert.equal(count(path), 2, path);
  }
  assert.equal(count("/ListQueues"), 1, "the raw stubs do not repeat calls");
});

test("a refused call with a fixed token is not repeated", async () => {
  await using front = await HttpFront.with(401);
  await using client = new Client(front.address, { token: SECRET });
  await everyCall(client);
  assert.equal(front.paths.filter((path) => !path.endsWith("GetServerInfo")).length, 7);
});

test("a failing token function is Unavailable and retried, and its call is not sent", async () => {
  await using front = await HttpFront.with(500);
  let calls = 0;
  const token = () => {
    calls += 1;
    throw new Error("no identity provider");
  };
  await using client = new Client(front.address, { token, tries: { maxAttempts: 3, firstPause: 1 } });
  await assert.rejects(client.get(UNKNOWN), (error) => {
    assert.ok(error instanceof Unavailable);
    assert.match(error.message, /^the token function failed, so no call was sent: no identity provider$/);
    return error.reason === "TOKEN_UNAVAILABLE";
  });
  assert.equal(calls, 3);
  assert.deepEqual(front.paths, []);
});

test("an unusable token of a function is retried, and not shown", async () => {
  await using front = await HttpFront.with(500);
  let calls = 0;
  const token = () => (calls++ === 0 ? "" : "two\nlines");
  await using client = new Client(front.address, { token, tries: { maxAttempts: 4, firstPause: 1 } });
  await assert.rejects(client.get(UNKNOWN), (error) => {
    assert.ok(error instanceof Unavailable && !error.message.includes("two"), String(error));
    return error.reason === "TOKEN_UNAVAILABLE";
  });
  assert.equal(calls, 4);
  assert.deepEqual(front.paths, []);
});

test("a token function that does not return is limited by the call timeout", async () => {
  await using front = await HttpFront.with(500);
  await using client = new Client(front.address, { token: () => new Promise(() => undefined), callTimeout: 50 });
  await assert.rejects(client.get(UNKNOWN), { name: "DeadlineExceeded" });
  assert.deepEqual(front.paths, []);
});

test("a header of the caller's own interceptor is kept, and no interceptor receives the token", async () => {
  await using front = await HttpFront.with(403);
  const seen: (string | null)[] = [];
  const { interceptors } = {
    interceptors: [
      (next) => (request) => {
        seen.push(request.header.get("authorization"));
        request.header.set("authorization", "Basic abc");
        return next(request);
      },
    ],
  } satisfies NodeClientOptions;
  await using client = new Client(front.address, { token: SECRET, interceptors });
  await assert.rejects(client.get(UNKNOWN), PermissionDenied);
  assert.deepEqual(seen, [null]);
  assert.equal(front.headers[0]?.authorization, "Basic abc");
});

test("a token is not sent over plain text to other hosts unless it is allowed", () => {
  for (const Class of [Client, WebClient]) {
    for (const token of [SECRET, () => SECRET]) {
      assert.throws(
        () => new Class("http://jobs.example:7070", { token }),
        (error) => {
          assert.ok(error instanceof InvalidRequest);
          assert.ok(!error.message.includes(SECRET));
          return /^token would be sent over plain text to jobs.example: .*allowInsecureToken$/.test(error.message);
        },
      );
      for (const host of ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"]) {
        new Class(`http://${host}:7070`, { token });
      }
      new Class("https://jobs.example", { token });
      new Class("http://jobs.example", { token, allowInsecureToken: true });
    }
  }
  assert.throws(() => new Client("127.0.0.1.example:1", { token: SECRET }), InvalidRequest);
});

test("invalid tokens and metadata are refused without their value", () => {
  const refused = (options: NodeClientOptions) => {
    try {
      new Client("http://127.0.0.1:1", options);
    } catch (error) {
      return (error as JobstreamError).message;
    }
    return "";
  };
  assert.match(refused({ token: "a\nsecret" }), /^token has characters that no header may have(?!.*secret)/);
  assert.match(refused({ metadata: { authorization: "secret" } }), /: use the option token(?!.*secret)/);
  assert.match(refused({ metadata: { "grpc-timeout": "1" } }), /has the name "grpc-timeout": use a header name/);
  assert.match(refused({ metadata: { "x-a": "\u0000secret" } }), /^metadata.x-a is not a text(?!.*secret)/);
});

test("a watch and a worker resume with a new token after theirs has expired", async () => {
  await using server = await ExpiringServer.start();
  let calls = 0;
  await using client = new Client(server.address, { token: () => (++calls === 1 ? "old" : "new") });
  const events = await collect(client.job(UNKNOWN).watch());
  assert.deepEqual(
    events.map((event) => event.type === "state" && event.state),
    ["QUEUED", "CANCELLED"],
  );
  assert.deepEqual(server.authorizations.splice(0), ["Bearer old", "Bearer new"]);
  let connects = 0;
  const onConnected = () => {
    connects += 1;
    if (connects === 2) {
      worker.stop().catch(() => undefined);
    }
  };
  calls = 0;
  const worker = new Worker(client, { logger: recordingLogger(), onConnected }).handle("x", () => 1);
  await worker.run({ signals: false });
  assert.deepEqual(server.authorizations.slice(0, 2), ["Bearer old", "Bearer new"]);
});

test("a watch and a worker whose fixed token has expired end with its error", async () => {
  const isExpired = { name: "Unauthenticated", reason: "CREDENTIAL_EXPIRED" };
  const begin = [
    (client: Client) => collect(client.job(UNKNOWN).watch()),
    (client: Client) => new Worker(client, { logger: recordingLogger() }).handle("x", () => 1).run({ signals: false }),
  ];
  for (const run of begin) {
    await using server = await ExpiringServer.start();
    await using client = new Client(server.address, { token: "old" });
    await assert.rejects(run(client), isExpired);
    assert.deepEqual(server.authorizations, ["Bearer old", "Bearer old"]);
  }
});

test("errors of access have classes of their own", () => {
  const read = (code: Code, reason: string, details: Status["details"] = []) => {
    const info = create(ErrorInfoSchema, { domain: "jobstream", reason });
    return readStatus(create(StatusSchema, { code, details: [anyPack(ErrorInfoSchema, info), ...details] }), "address");
  };
  assert.ok(read(Code.Unauthenticated, "CREDENTIAL_INVALID") instanceof Unauthenticated);
  assert.ok(read(Code.PermissionDenied, "GRANT_MISSING") instanceof PermissionDenied);
  const delay = create(RetryInfoSchema, { retryDelay: { seconds: 2n } });
  const quota = read(Code.ResourceExhausted, "QUOTA", [anyPack(RetryInfoSchema, delay)]);
  assert.ok(quota instanceof ResourceExhausted);
  assert.deepEqual([quota.reason, quota.retryAfter], ["QUOTA", 2_000]);
});

test("no token is in the text of clients, workers, errors and logs", async () => {
  await using front = await HttpFront.with(401);
  const token = (call: number) => `${SECRET}-${call}`;
  let calls = 0;
  for (const given of [SECRET, () => token(++calls)]) {
    await using client = new Client(front.address, { token: given });
    const logger = recordingLogger();
    const worker = new Worker(client, { logger }).handle("x", () => 1);
    const ended: unknown = await worker.run({ signals: false }).catch((error: unknown) => error);
    const printed = [client, worker, ended, ...(await everyCall(client))];
    const text = printed.map((value) => inspect(value, { depth: Infinity, showHidden: true })).join("\n");
    assert.ok(!`${text}${logger.lines.join("\n")}`.includes(SECRET));
  }
});

test("JOBSTREAM_TOKEN is the default token, and an empty text is none", async () => {
  process.env["JOBSTREAM_TOKEN"] = "from-environment";
  try {
    await using front = await HttpFront.with(403);
    for (const options of [{}, { token: SECRET }, { token: "" }]) {
      await using client = new Client(front.address, options);
      await assert.rejects(client.get(UNKNOWN), PermissionDenied);
    }
    const sent = front.headers.map(({ authorization }) => authorization);
    assert.deepEqual(sent, ["Bearer from-environment", `Bearer ${SECRET}`, undefined]);
    assert.throws(() => new Client("http://jobs.example:7070"), /^InvalidRequest: JOBSTREAM_TOKEN would be sent/);
    new Client("http://jobs.example:7070", { token: "" });
  } finally {
    delete process.env["JOBSTREAM_TOKEN"];
  }
});
