// Handlers, the decoding of their input and the encoding of their result.

import { Payload } from "../data/payload.js";
import type { Context } from "./context.js";
import { BadPayload, type Limits, type ReportBody, completed, failed, failedWith } from "./final_report.js";

/** The handler of a kind. Its return value is the result of the job, encoded like the input of a submit. */
export type Handler<In, Out = unknown> = (input: In, context: Context) => Out | Promise<Out>;

/** Validates and converts a decoded input, or throws: a function, or an object with `parse` such as a zod schema. */
export type Parser<In> = ((value: unknown) => In | Promise<In>) | { parse(value: unknown): In | Promise<In> };

export interface HandlerOptions<In> {
  /** Parses the input. An error fails the job with BAD_PAYLOAD. Default: no validation. */
  readonly input?: Parser<In> | undefined;
}

/**
 * Is called around each run of a handler. It calls `next`, with another input if it changes the payload, and returns the
 * encoded result, changed or not. An error fails the attempt like one of the handler.
 *
 * `next` decodes the input and runs the handler. It rejects with the error of the handler.
 */
export type HandlerInterceptor = (context: Context, next: (payload?: Payload) => Promise<Payload>) => Promise<Payload>;

/** A handler with its parser. */
export interface RegisteredHandler {
  readonly handler: Handler<never>;
  readonly parser: Parser<unknown> | undefined;
}

/** The final report of a handler, and whether the handler threw. */
export interface AttemptResult {
  readonly body: ReportBody;
  readonly bytes: number;
  readonly hasThrown: boolean;
  /** What the handler threw, if it did. */
  readonly thrown: readonly unknown[];
}

/** Runs the handler of one attempt within the interceptors, of which the first is the outermost. Never rejects. */
export async function runHandler(
  registered: RegisteredHandler | undefined,
  interceptors: readonly HandlerInterceptor[],
  context: Context,
  limits: Limits,
): Promise<AttemptResult> {
  if (registered === undefined) {
    return withoutThrow(failed("UNKNOWN_KIND", `this worker has no handler for kind ${context.kind}`));
  }
  const last = (context: Context) => handle(registered, context);
  const chain = interceptors.reduceRight(within, last);
  try {
    const result = await chain(context);
    return { body: completed(result, limits), bytes: result.size, hasThrown: false, thrown: [] };
  } catch (error) {
    if (error instanceof BadPayload) {
      return withoutThrow(failed("BAD_PAYLOAD", error.message));
    }
    return { body: failedWith(error), bytes: 0, hasThrown: true, thrown: [error] };
  }
}

type Link = (context: Context) => Promise<Payload>;

function within(next: Link, interceptor: HandlerInterceptor): Link {
  return async (context) => {
    const result: unknown = await interceptor(context, (payload = context.payload) => next(context.with(payload)));
    if (!(result instanceof Payload)) {
      throw new TypeError("an interceptor returned no Payload: return what next returns, or another Payload");
    }
    return result;
  };
}

async function handle({ handler, parser }: RegisteredHandler, context: Context): Promise<Payload> {
  let input: unknown;
  try {
    input = await parsed(parser, context.payload.value());
  } catch (error) {
    throw new BadPayload(error);
  }
  return Payload.of(await handler(input as never, context));
}

function withoutThrow(body: ReportBody): AttemptResult {
  return { body, bytes: 0, hasThrown: false, thrown: [] };
}

function parsed(parser: Parser<unknown> | undefined, value: unknown): unknown {
  if (parser === undefined) {
    return value;
  }
  return typeof parser === "function" ? parser(value) : parser.parse(value);
}
