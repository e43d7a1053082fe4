import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { Client } from "jobstream";
import { startServer } from "jobstream/testing";

import { VERSION } from "#dist/version.js";

const server = await startServer();
test.after(() => server.stop());

function example(name: string): ChildProcess {
  const path = new URL(`../examples/${name}.js`, import.meta.url).pathname;
  const env = { ...process.env, JOBSTREAM_ADDRESS: server.address };
  return spawn(process.execPath, [path, server.address], { env, stdio: ["ignore", "pipe", "inherit"] });
}

/** The output and the exit status of a program. */
async function run(program: ChildProcess): Promise<[string, number | null]> {
  let printed = "";
  program.stdout?.on("data", (data: Buffer) => (printed += data.toString()));
  const [status] = (await once(program, "close")) as [number | null];
  return [printed, status];
}

test("examples: worker with submit_and_wait and watch_with_resume", async () => {
  const worker = example("worker");
  const lines = createInterface({ input: worker.stdout ?? process.stdin });
  assert.deepEqual(await once(lines, "line"), ["connected"]);
  const [[submitted, status], [watched]] = await Promise.all([
    run(example("submit_and_wait")),
    run(example("watch_with_resume")),
  ]);
  assert.match(submitted, /the sum is 6\n$/);
  assert.equal(status, 0);
  const parts = ["state", "state", "progress"].map((type) => `first part: ${type}\n`).join("");
  assert.equal(watched, `${parts}second part: 2 of 3\nsecond part: 3 of 3\nsecond part: SUCCEEDED\n`);
  const ended = once(worker, "exit");
  const drained = once(lines, "line");
  worker.kill("SIGTERM");
  assert.deepEqual(await drained, ["drained"]);
  assert.deepEqual(await ended, [0, null]);
});

test("example: tour", async () => {
  const [printed, status] = await run(example("tour"));
  assert.equal(status, 0);
  assert.match(printed, /message: 'decoding'[^]*\nresized to 640\n$/);
});

test("example: streaming_output", async () => {
  assert.deepEqual(await run(example("streaming_output")), ["so it is written \n", 0]);
});

test("a closed client or an idle client does not keep its process alive", async () => {
  const code = (last: string) => `
    import { Client } from "jobstream";
    const client = new Client(${JSON.stringify(server.address)});
    const job = await client.submit("unserved");
    void job.result().catch(() => undefined);
    await job.state();
    ${last}`;
  const started = performance.now();
  const programs = ["client.close();", "await job.cancel();"].map((last) =>
    run(spawn(process.execPath, ["--input-type=module", "-e", code(last)], { stdio: ["ignore", "pipe", "inherit"] })),
  );
  assert.deepEqual(await Promise.all(programs), [
    ["", 0],
    ["", 0],
  ]);
  assert.ok(performance.now() - started < 10_000);
});

test("the default address is read from the environment", () => {
  process.env["JOBSTREAM_ADDRESS"] = "somewhere:7171";
  assert.equal(new Client().address, "http://somewhere:7171");
  process.env["JOBSTREAM_ADDRESS"] = "";
  assert.equal(new Client().address, "http://127.0.0.1:7070");
});

test("the package has its metadata and both licences", () => {
  const root = new URL("../../", import.meta.url);
  const { license, repository, files } = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as {
    license: string;
    repository: { url: string };
    files: string[];
  };
  assert.equal(license, "MIT OR Apache-2.0");
  assert.match(repository.url, /https:\/\/github.com\/jobstream\/jobstream/);
  for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) {
    assert.ok(files.includes(name));
    const text = readFileSync(new URL(name, root), "utf8");
    assert.equal(text, readFileSync(new URL(`../../${name}`, root), "utf8"));
  }
});

test("the version equals that of package.json", () => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  assert.equal((JSON.parse(text) as { version: string }).version, VERSION);
});
