import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { build } from "esbuild";
import { type Page, chromium } from "playwright-core";

import { Client } from "jobstream";
import { startServer } from "jobstream/testing";

import { Proxy } from "./support/proxy.js";
import { gate, working } from "./support/support.js";

const BROWSER = process.env["CHROMIUM_BIN"] ?? "/usr/bin/chromium";
const CHUNKS = 30;

/** Bundles the script of the page. */
async function bundle(): Promise<string> {
  const entry = new URL("page/page.js", import.meta.url).pathname;
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    platform: "browser",
    format: "iife",
  });
  return outputFiles[0]?.text ?? "";
}

/** Serves an empty page from another origin. */
async function openPage(): Promise<{ origin: string; close: () => void }> {
  const pages = createServer((_, response) => {
    response.setHeader("content-type", "text/html").end("<!doctype html><title>jobstream</title>");
  });
  pages.listen(0, "127.0.0.1");
  await once(pages, "listening");
  return {
    origin: `http://127.0.0.1:${(pages.address() as AddressInfo).port}`,
    close: () => {
      pages.closeAllConnections();
      pages.close();
    },
  };
}

async function inBrowser(use: (page: Page, origin: string) => Promise<void>): Promise<void> {
  const { origin, close } = await openPage();
  const browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const page = await browser.newPage();
    await page.goto(origin);
    await use(page, origin);
  } finally {
    await browser.close();
    close();
  }
}

const skip = existsSync(BROWSER) ? false : `there is no ${BROWSER}: install chromium, or set CHROMIUM_BIN`;

test("a page follows a job over gRPC-Web, through cuts, every event once", { skip }, async () => {
  const script = await bundle();
  await inBrowser(async (page, origin) => {
    await using server = await startServer({ args: ["--cors-origin", origin] });
    await using proxy = await Proxy.before(server.address);
    await using client = new Client(server.address);
    const seen: { type: string; sequence: number | undefined }[] = [];
    const news = gate<number>();
    await page.exposeFunction("onEvent", (event: (typeof seen)[number]) => {
      seen.push(event);
      if (seen.filter(({ type }) => type === "output").length === CHUNKS / 3) {
        news.open(seen.length);
      }
    });
    const cut = gate();
    // The rest is sent after the connection was cut.
    await using _ = await working(client, (worker) =>
      worker.handle("emit", async ({ exact }: { exact: bigint }, context) => {
        for (let i = 1; i <= CHUNKS; i++) {
          await context.output(`chunk ${i}`);
          if (i === CHUNKS / 2) {
            await cut.passed;
          }
        }
        return exact;
      }),
    );
    await page.addScriptTag({ content: script });
    const following = page.evaluate(([address, kind, chunks]) => globalThis.follow(address, kind, chunks), [
      proxy.address,
      "emit",
      CHUNKS,
    ] as const);
    await Promise.race([news.passed, following]);
    proxy.cut();
    cut.open();
    assert.equal(await following, String(2n ** 63n));
    const sequences = seen.map(({ sequence }) => sequence);
    assert.deepEqual(
      sequences,
      Array.from(sequences, (_, index) => index + 1),
    );
    assert.equal(seen.filter(({ type }) => type === "output").length, CHUNKS);
    assert.ok(proxy.accepted > 1);
  });
});

test("a page follows the changes of all jobs, through a cut, each once", { skip }, async () => {
  const script = await bundle();
  await inBrowser(async (page, origin) => {
    await using server = await startServer({ args: ["--cors-origin", origin] });
    await using proxy = await Proxy.before(server.address);
    const client = server.client();
    const before = client.watchJobs({}, { afterCursor: "1-1" });
    await before.next();
    const first = await client.submit("idle");
    const seen: string[] = [];
    const second = gate<string>();
    await page.exposeFunction("onChange", async (jobId: string) => {
      seen.push(jobId);
      if (jobId === first.id) {
        proxy.cut();
        second.open((await client.submit("idle")).id);
      }
    });
    await page.addScriptTag({ content: script });
    await page.evaluate(([address, cursor]) => globalThis.followAll(address, cursor, 2), [
      proxy.address,
      before.cursor,
    ] as const);
    assert.deepEqual(seen, [first.id, await second.passed]);
    assert.ok(proxy.accepted > 1);
  });
});
