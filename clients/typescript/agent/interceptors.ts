// The interceptors of the agent. Each adds its name to what it changes.

import { type HandlerInterceptor, Payload, type SubmitInterceptor } from "jobstream";

export function submitInterceptor(name: string): SubmitInterceptor {
  return async (job, next) => {
    const headers = { ...job.headers, by: (job.headers["by"] ?? "") + name };
    return next({ ...job, payload: named(job.payload, name), headers });
  };
}

export function handlerInterceptor(name: string): HandlerInterceptor {
  return async (context, next) => named(await next(named(context.payload, name)), name);
}

function named(payload: Payload, name: string): Payload {
  if (name === "refuse") {
    throw new Error("refused");
  }
  return Payload.of([...(payload.value() as string[]), name]);
}
