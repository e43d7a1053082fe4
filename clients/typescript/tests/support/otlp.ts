// The receiver of traces: tests/otlp of the repository. It refuses what breaks the published protocol.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const program = new URL("../../../../../tests/otlp/run", import.meta.url).pathname;

/** A received span. */
export interface ReceivedSpan {
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly links: { readonly traceId: string; readonly spanId: string }[];
  readonly attributes: Record<string, unknown>;
  readonly events: { readonly name: string; readonly attributes: Record<string, unknown> }[];
  readonly status: { readonly code: string; readonly message: string };
  readonly startTimeUnixNano: number;
}

/** A span to wait for: its name, and the number of its attempt if several have the name. */
export type Wanted = string | readonly [name: string, attempt: number];

function matches({ name, attributes }: ReceivedSpan, wanted: Wanted): boolean {
  return typeof wanted === "string"
    ? name === wanted
    : name === wanted[0] && attributes["jobstream.job.attempt"] === wanted[1];
}

/** Starts a receiver. */
export async function startReceiver() {
  const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line = (await lines.next()) as IteratorResult<string, undefined>;
    assert.ok(line.value !== undefined, "the receiver has ended");
    return JSON.parse(line.value) as unknown;
  };
  const untaken: ReceivedSpan[] = [];
  const { grpc } = (await next()) as { grpc: string };
  return {
    /** The address for OTLP over gRPC. */
    address: grpc,
    /** Waits for these spans. They may arrive in any order, because the exporter waits for no response. */
    async spans<const W extends readonly Wanted[]>(...wanted: W): Promise<{ [I in keyof W]: ReceivedSpan }> {
      const taken: ReceivedSpan[] = [];
      for (const one of wanted) {
        while (!untaken.some((span) => matches(span, one))) {
          const line = (await next()) as ReceivedSpan | { error: string };
          assert.ok(!("error" in line), JSON.stringify(line));
          untaken.push(line);
        }
        taken.push(
          ...untaken.splice(
            untaken.findIndex((span) => matches(span, one)),
            1,
          ),
        );
      }
      return taken as { [I in keyof W]: ReceivedSpan };
    },
    /** Fails if a span has arrived that nobody waited for. */
    assertAllTaken(): void {
      assert.deepEqual(untaken.splice(0), []);
    },
    [Symbol.dispose]() {
      child.stdin.end();
    },
  };
}
