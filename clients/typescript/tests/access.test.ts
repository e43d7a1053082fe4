// Tokens against a server that requires them.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Client, type TokenFunction, Unauthenticated } from "jobstream";
import { startServer } from "jobstream/testing";

import { collect, working } from "./support/support.js";

const newToken = () => `jst_${randomBytes(32).toString("base64url")}`;
const entry = (name: string, token: string, more = "") => `[[token]]
name = "${name}"
sha256 = "${createHash("sha256").update(token).digest("hex")}"
grants = ["all"]
${more}
`;
const valid = newToken();
const expired = newToken();
const directory = mkdtempSync(join(tmpdir(), "jobstream-access-"));
const file = join(directory, "tokens.toml");
writeFileSync(file, entry("billing", valid) + entry("former", expired, "expires = 2020-01-01T00:00:00Z"));
const server = await startServer({ args: ["--auth-tokens", file] });
test.after(async () => {
  await server.stop();
  rmSync(directory, { recursive: true });
});

const connect = (token: string | TokenFunction) => new Client(server.address, { token });

test("client and worker are admitted with a token", async () => {
  await using client = connect(valid);
  await using _ = await working(client, (worker) => worker.handle("double", (n: number) => 2 * n));
  assert.equal(await client.run("double", 21), 42);
});

const REFUSED = { CREDENTIAL_REQUIRED: "", CREDENTIAL_INVALID: newToken(), CREDENTIAL_EXPIRED: expired };

for (const [reason, token] of Object.entries(REFUSED)) {
  test(`${reason} ends calls, watches and workers with its error`, async () => {
    await using admitted = connect(valid);
    const job = await admitted.submit("unserved");
    await using client = connect(token);
    const isExpected = (error: unknown) => {
      assert.ok(error instanceof Unauthenticated && error.reason === reason, String(error));
      assert.equal(error.code, "UNAUTHENTICATED");
      return !error.message.includes("jst_");
    };
    await assert.rejects(client.submit("unserved"), isExpected);
    await assert.rejects(client.run("unserved"), isExpected);
    await assert.rejects(client.job(job.id).result(), isExpected);
    await assert.rejects(collect(client.job(job.id).watch()), isExpected);
    const refused = working(client, (worker) => worker.handle("idle", () => 1)).then(({ ended }) => ended);
    await assert.rejects(refused, isExpected);
    await job.cancel();
  });
}

test("a call without a token is answered with the way out", async () => {
  await using client = connect("");
  await assert.rejects(client.queues(), /: set token, or JOBSTREAM_TOKEN$/);
});

test("calls, streams and workers that are refused for an old token continue with the next one", async () => {
  let isOld = true;
  await using client = connect(() => {
    const token = isOld ? expired : valid;
    isOld = false;
    return Promise.resolve(token);
  });
  await using _ = await working(client, (worker) => worker.handle("triple", (n: number) => 3 * n));
  isOld = true;
  const job = await client.submit<number>("triple", 5);
  isOld = true;
  await collect(job.watch());
  isOld = true;
  assert.equal(await job.result(), 15);
  isOld = true;
  assert.equal(await client.run("triple", 14), 42);
});
