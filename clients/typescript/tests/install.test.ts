// The commands and programs of the README, in a new project that installs the package from its folder.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { startServer } from "jobstream/testing";

const run = promisify(execFile);
const root = new URL("../../", import.meta.url).pathname;

const program = `
import { Client } from "jobstream";
const client = new Client();
const job = await client.submit("greet", "world");
console.log(job.waitReason);
client.close();
`;

/** Copies the package as it is in a clone: neither installed nor built. */
function cloneTo(folder: string): string {
  const ignored = new Set(["node_modules", "dist", "build"]);
  const copy = join(folder, "jobstream/clients/typescript");
  cpSync(root, copy, { recursive: true, filter: (path) => !ignored.has(basename(path)) });
  return copy;
}

test("the commands of the README install a package that runs, from a folder that is not built", async () => {
  const folder = mkdtempSync(join(tmpdir(), "jobstream-install-"));
  try {
    const copy = cloneTo(folder);
    const readme = readFileSync(join(copy, "README.md"), "utf8");
    const install = /```sh\n(mkdir [^]*?)```/.exec(readme)?.[1];
    assert.ok(install, "the README has the commands of a new project");
    writeFileSync(join(folder, "app.js"), program);
    await using server = await startServer();
    const env = { ...process.env, npm_config_prefer_offline: "true", JOBSTREAM_ADDRESS: server.address };
    const script = `${install}\nmv ../app.js . && node app.js`;
    const { stdout } = await run("sh", ["-euc", script], { cwd: folder, env });
    assert.match(stdout, /^NO_WORKER$/m);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
