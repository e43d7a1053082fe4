import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";

import {
  Client,
  type ClientCertificate,
  InvalidRequest,
  JobstreamError,
  type NodeClientOptions,
  Unauthenticated,
  Unavailable,
} from "jobstream";
import { startServer } from "jobstream/testing";

import { Authority } from "./support/authority.js";
import { collect, working } from "./support/support.js";

const UNKNOWN = "0190aaaa-0000-7000-8000-000000000000";
const authority = await Authority.create();
const other = await Authority.create("another CA");
await Promise.all([
  authority.issue("server", "DNS:localhost,IP:127.0.0.1"),
  authority.issue("elsewhere", "DNS:jobs.example"),
  authority.issue("alice", "DNS:alice"),
  other.issue("mallory", "DNS:alice"),
]);
const [server, elsewhere, strict, plain] = await Promise.all([
  startServer({ args: authority.flags("server") }),
  startServer({ args: authority.flags("elsewhere") }),
  startServer({ args: [...authority.flags("server"), "--tls-client-ca", authority.path("ca.crt")] }),
  startServer(),
]);
test.after(async () => {
  await Promise.all([server, elsewhere, strict, plain].map((started) => started.stop()));
  authority[Symbol.dispose]();
  other[Symbol.dispose]();
});
const ca = authority.path("ca.crt");

/** Runs a job with a client and a worker of these options. */
async function double(address: string, options: NodeClientOptions): Promise<number> {
  await using client = new Client(address, options);
  await using _ = await working(client, (worker) => worker.handle("double", (n: number) => 2 * n));
  const job = await client.submit<number>("double", 21);
  await collect(job.watch());
  return await job.result();
}

test("client and worker trust an own CA: a file, its text or its bytes", async () => {
  assert.match(server.address, /^https:/);
  const bytes = authority.bytes("ca.crt");
  for (const given of [ca, new TextDecoder().decode(bytes), bytes]) {
    assert.equal(await double(server.address, { ca: given }), 42);
  }
  assert.equal(await double(server.address.replace("127.0.0.1", "localhost"), { tls: { ca: [bytes as Buffer] } }), 42);
});

test("client and worker present a certificate", async () => {
  assert.equal(await double(strict.address, { ca, clientCertificate: authority.certificate("alice") }), 42);
});

const REFUSALS: [string, string, string, NodeClientOptions, RegExp][] = [
  ["an unknown CA", server.address, "UNKNOWN_CA", {}, /does not trust: set ca, or JOBSTREAM_CA/],
  ["another CA", server.address, "UNKNOWN_CA", { ca: other.path("ca.crt") }, /does not trust/],
  ["another host", elsewhere.address, "INVALID_CERTIFICATE", { ca }, /not for 127.0.0.1, but for jobs.example: use/],
  ["a server without TLS", plain.address.replace("http", "https"), "NOT_TLS", { ca }, /in plain text: use http:/],
  ["plain text to a port of TLS", server.address.replace("https", "http"), "TLS_REQUIRED", {}, /TLS only: use https:/],
  ["a missing client certificate", strict.address, "CLIENT_CERTIFICATE", { ca }, /requires a client cer.*: set client/],
  [
    "a client certificate of another CA",
    strict.address,
    "CLIENT_CERTIFICATE",
    { ca, clientCertificate: other.certificate("mallory") },
    /refused the client certificate: .*unknown ca: set clientCertificate/,
  ],
];

for (const [what, address, reason, options, message] of REFUSALS) {
  test(`${what} is reported in words, without a retry, by calls, watches and workers`, async () => {
    await using client = new Client(address, options);
    const isExpected = (error: unknown) => {
      assert.ok(error instanceof (reason === "CLIENT_CERTIFICATE" ? Unauthenticated : Unavailable));
      assert.equal(error.reason, reason);
      assert.match(error.message, message);
      return error.message.includes(address);
    };
    await assert.rejects(client.get(UNKNOWN), isExpected);
    await assert.rejects(collect(client.job(UNKNOWN).watch()), isExpected);
    await assert.rejects(client.job(UNKNOWN).result(), isExpected);
    await assert.rejects(
      working(client, (worker) => worker.handle("x", () => 1)).then(({ ended }) => ended),
      isExpected,
    );
  });
}

test("TLS of another server is guessed", async () => {
  // An alert: protocol version.
  const refusing = createServer((socket) =>
    socket.once("data", () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 70]))),
  );
  await once(refusing.listen(0, "127.0.0.1"), "listening");
  const address = `http://127.0.0.1:${(refusing.address() as AddressInfo).port}`;
  await using client = new Client(address, { tries: { maxAttempts: 1 } });
  await assert.rejects(client.get(UNKNOWN), (error) => {
    assert.ok(error instanceof Unavailable);
    return error.message.includes(`${address}: `) && error.message.includes("its address begins with https://");
  });
  refusing.close();
});

test("a client that is closed while the server refuses its certificate does not end the process", async () => {
  for (let i = 0; i < 5; i++) {
    const client = new Client(strict.address, { ca, tries: { maxAttempts: 1 } });
    await assert.rejects(client.get(UNKNOWN), Unauthenticated);
    client.close();
  }
});

/** Replaces the files of a client certificate by those of an authority. */
function replace(files: ClientCertificate, { certificate, key }: ClientCertificate): void {
  copyFileSync(certificate as string, files.certificate as string);
  copyFileSync(key as string, files.key as string);
}

test("a worker and its client use a renewed certificate with their next connections", async () => {
  const flags = (trusted: Authority) => [...authority.flags("server"), "--tls-client-ca", trusted.path("ca.crt")];
  const first = await startServer({ args: flags(other) });
  const renewed = authority.certificate("renewed");
  replace(renewed, other.certificate("mallory"));
  await using client = new Client(first.address, { ca, clientCertificate: renewed });
  await using _ = await working(client, (worker) => worker.handle("double", (n: number) => 2 * n));
  assert.equal(await client.run("double", 21), 42);
  replace(renewed, authority.certificate("alice"));
  await first.stop();
  await using second = await startServer({ args: flags(authority), listen: new URL(first.address).host });
  assert.equal(second.address, first.address);
  assert.equal(await client.run("double", 21), 42);
});

test("files that do not fit together leave the former certificate in use, with one warning", async () => {
  const renewed = authority.certificate("unfit");
  replace(renewed, authority.certificate("alice"));
  await using client = new Client(strict.address, { ca, clientCertificate: renewed });
  copyFileSync(authority.path("server.key"), renewed.key);
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on("warning", onWarning);
  await client.queues();
  await using _ = await working(client, (worker) => worker.handle("x", () => 1));
  process.off("warning", onWarning);
  assert.equal(warnings.length, 1);
  assert.equal(warnings[0]?.name, "JobstreamWarning");
  assert.match(
    warnings[0].message,
    /^clientCertificate.key is ".*unfit.*", which is not that of ".*"; the former certificate stays in use$/,
  );
});

test("unusable files are named before a call", () => {
  const create = (options: NodeClientOptions, address = "https://127.0.0.1:1") => {
    try {
      new Client(address, options);
    } catch (error) {
      assert.ok(error instanceof InvalidRequest && error instanceof JobstreamError);
      return error.message;
    }
    return "";
  };
  const alice = authority.certificate("alice");
  assert.match(create({ ca: "missing.crt" }), /^ca is "missing.crt", which cannot be read: ENOENT/);
  assert.match(
    create({ ca: authority.path("ca.key") }),
    /^ca is ".*\/ca.key", which has no certificate in PEM format: use/,
  );
  assert.match(create({ ca: new Uint8Array([1]) }), /^ca has no certificate in PEM format/);
  assert.match(create({ ca }, "http://127.0.0.1:1"), /^ca needs TLS, .*: use https:/);
  const wrongKey = { ...alice, key: authority.path("server.key") };
  assert.match(
    create({ clientCertificate: wrongKey }),
    /^clientCertificate.key is ".*server.key", which is not that of ".*alice.crt"$/,
  );
  assert.match(
    create({ clientCertificate: { ...alice, certificate: alice.key } }),
    /^clientCertificate.certificate is ".*alice.key", which has no certificate/,
  );
  assert.match(
    create({ clientCertificate: { ...alice, key: alice.certificate } }),
    /^clientCertificate.key is ".*alice.crt", which has no private key in PEM format: use/,
  );
  const encrypted = authority.path("encrypted.key");
  writeFileSync(encrypted, "-----BEGIN ENCRYPTED PRIVATE KEY-----");
  assert.match(
    create({ clientCertificate: { ...alice, key: encrypted } }),
    /^clientCertificate.key is ".*encrypted.key", which is encrypted: decrypt it/,
  );
  assert.match(
    create({ clientCertificate: { ...alice, key: encrypted }, tls: { passphrase: "x" } }),
    /^clientCertificate.key is ".*encrypted.key", which has an unusable private key/,
  );
  assert.doesNotMatch(create({ clientCertificate: { ...alice, key: "no-file" } }), /BEGIN/);
});

test("JOBSTREAM_ADDRESS and JOBSTREAM_CA, and the roots of Node, are the default", () => {
  const program =
    'import { Client } from "jobstream"; const c = new Client(); await c.queues(); console.log("ok"); c.close();';
  const run = (variables: Record<string, string>) =>
    spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      env: { ...process.env, JOBSTREAM_ADDRESS: server.address, ...variables },
      encoding: "utf8",
    });
  assert.equal(run({ JOBSTREAM_CA: ca }).stdout, "ok\n");
  assert.equal(run({ NODE_EXTRA_CA_CERTS: ca }).stdout, "ok\n");
  assert.match(run({}).stderr, /does not trust/);
  assert.match(run({ JOBSTREAM_CA: "missing.crt" }).stderr, /JOBSTREAM_CA is "missing.crt", which cannot be read/);
});
