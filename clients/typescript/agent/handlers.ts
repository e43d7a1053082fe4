// The behaviours of handlers.

import { once } from "node:events";

import { type Context, type Handler, Payload, PermanentError, RetryLater, type Worker } from "jobstream";
import { z } from "zod";

import type { Tell } from "./protocol.js";

/** Resolvers of the handlers that hold, by the id of their job. */
export class Holds {
  readonly #held = new Map<string, { promise: Promise<unknown>; release: (value: unknown) => void }>();

  /** Is the same before and after the job is taken up. */
  of(jobId: string) {
    let held = this.#held.get(jobId);
    if (held === undefined) {
      let release!: (value: unknown) => void;
      const promise = new Promise((resolve) => (release = resolve));
      held = { promise, release };
      this.#held.set(jobId, held);
    }
    return held;
  }

  async wait(jobId: string, until?: Promise<never>): Promise<unknown> {
    try {
      return await Promise.race([this.of(jobId).promise, ...(until ? [until] : [])]);
    } finally {
      this.#held.delete(jobId);
    }
  }
}

export function handle(worker: Worker, kind: string, behaviour: string, tell: Tell, holds: Holds): void {
  if (behaviour === "typed") {
    worker.handle(kind, { input: z.object({ width: z.int() }) }, ({ width }) => 2 * width);
    return;
  }
  const handler = plainHandlers(tell, holds)[behaviour];
  if (handler === undefined) {
    throw new Error(`there is no behaviour ${behaviour}`);
  }
  worker.handle(kind, handler);
}

function plainHandlers(tell: Tell, holds: Holds): Partial<Record<string, Handler<never>>> {
  const started = ({ jobId, attempt }: Context) => {
    tell({ type: "started", job_id: jobId, attempt });
  };
  return {
    echo,
    relay: async (input, context) => {
      const answer = echo(input, context);
      await context.output(Payload.of(answer), "out");
      return answer;
    },
    info,
    tell: tellAll,
    fail,
    hold: async (_, context) => {
      started(context);
      const cancelled = once(context.signal, "abort").then(() => {
        tell({ type: "cancelled", job_id: context.jobId });
        throw context.signal.reason;
      });
      return holds.wait(context.jobId, cancelled);
    },
    deaf: (_, context) => {
      started(context);
      return holds.wait(context.jobId);
    },
  };
}

const echo = (input: unknown, { payload }: Context): unknown => (payload.isJson ? input : payload);

const info: Handler<unknown> = (_, { jobId, attempt, kind, queue, headers, deadline }) => ({
  job_id: jobId,
  attempt,
  kind,
  queue,
  headers,
  deadline: deadline.getTime() - Date.now(),
});

const tellAll: Handler<{ chunks: number }> = async ({ chunks }, context) => {
  for (let i = 1; i <= chunks; i++) {
    context.progress(i / chunks, `step ${i}`);
    await context.output(`chunk ${i}`, "out");
    context.log(`line ${i}`, "warn");
  }
  return chunks;
};

const fail: Handler<{ mode: string; message: string }> = ({ mode, message }) => {
  switch (mode) {
    case "permanent":
      throw new PermanentError(message);
    case "later":
      throw new RetryLater(50, message);
    case "panic":
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- the worst there is: no error at all.
      throw message;
    default:
      throw new Error(message);
  }
};
