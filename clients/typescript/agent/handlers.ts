// The handlers of the agent, one per behaviour.

import { once } from "node:events";

import { type Context, type Handler, Payload, PermanentError, RetryLater, type Worker } from "jobstream";
import { z } from "zod";

import { encodeError } from "./errors.js";
import type { Emit } from "./protocol.js";

/** The promises of `hold` handlers by job id. */
export class Holds {
  readonly #held = new Map<string, { promise: Promise<unknown>; release: (value: unknown) => void }>();

  /** Returns the same promise before and after the job has started. */
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

export function handle(worker: Worker, kind: string, behaviour: string, emit: Emit, holds: Holds): void {
  if (behaviour === "typed") {
    worker.handle(kind, { input: z.object({ width: z.int() }) }, ({ width }) => 2 * width);
    return;
  }
  const handler = plainHandlers(emit, holds)[behaviour];
  if (handler === undefined) {
    throw new Error(`unknown behaviour ${behaviour}`);
  }
  worker.handle(kind, handler);
}

function plainHandlers(emit: Emit, holds: Holds): Partial<Record<string, Handler<never>>> {
  const started = (context: Context) => {
    const { jobId, attempt } = context;
    context.onSettled((error) => {
      emit({ type: "settled", job_id: jobId, error: error === undefined ? null : encodeError(error) });
    });
    emit({ type: "started", job_id: jobId, attempt });
  };
  return {
    echo,
    stream: async (input, context) => {
      const result = echo(input, context);
      await context.output(Payload.of(result), "out");
      return result;
    },
    info,
    trace,
    emit: emitSteps,
    count,
    fail,
    hold: async (_, context) => {
      started(context);
      const cancelled = once(context.signal, "abort").then(() => {
        emit({ type: "cancelled", job_id: context.jobId });
        throw context.signal.reason;
      });
      return holds.wait(context.jobId, cancelled);
    },
    ignore_cancel: (_, context) => {
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

const trace: Handler<unknown> = (_, { traceContext }) => {
  const { traceparent = "", tracestate = "", baggage = "" } = traceContext ?? {};
  return { traceparent, tracestate, baggage };
};

const emitSteps: Handler<{ chunks: number }> = async ({ chunks }, context) => {
  for (let i = 1; i <= chunks; i++) {
    context.progress(i / chunks, `step ${i}`);
    await context.output(`chunk ${i}`, "out");
    context.log(`line ${i}`, "warn");
  }
  return chunks;
};

const count: Handler<{ done: number; total: number }> = ({ done, total }, context) => {
  context.progressOf(done, total, "steps");
  return done;
};

const fail: Handler<{ mode: string; message: string }> = ({ mode, message }) => {
  switch (mode) {
    case "permanent":
      throw new PermanentError(message);
    case "later":
      throw new RetryLater(50, message);
    case "panic":
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- tests a thrown value that is not an error.
      throw message;
    default:
      throw new Error(message);
  }
};
