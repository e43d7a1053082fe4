// The programs of the README for secured servers, each in a directory with its files.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { startServer } from "jobstream/testing";

import { Authority } from "./support/authority.js";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const section = /## Secured servers\n([^]*?)\n## /.exec(readme)?.[1] ?? "";
const programs = [...section.matchAll(/```ts\n([^]*?)```/g)].map(([, code]) => code ?? "");

test("the programs of the README use a secured server", async () => {
  assert.equal(programs.length, 3);
  using authority = await Authority.create();
  await Promise.all([authority.issue("server", "IP:127.0.0.1"), authority.issue("client", "DNS:client")]);
  writeFileSync(authority.path("token"), "secret\n");
  await using server = await startServer({
    args: [...authority.flags("server"), "--tls-client-ca", authority.path("ca.crt")],
  });
  await using open = await startServer({ args: authority.flags("server") });
  const run = async (code: string) => {
    const { address } = code.includes("clientCertificate") ? server : open;
    const imports = `import { Client } from ${JSON.stringify(import.meta.resolve("jobstream"))};\n`;
    const program = code.replace("https://jobs.example:7070", address);
    assert.notEqual(program, code);
    const last = "await client.queues();\nclient.close();\n";
    const child = spawn(process.execPath, ["--input-type=module", "-e", `${imports}${program}${last}`], {
      cwd: authority.directory,
      stdio: "inherit",
    });
    const [status] = (await once(child, "exit")) as [number | null];
    return status;
  };
  assert.deepEqual(
    await Promise.all(programs.map(run)),
    programs.map(() => 0),
  );
});
