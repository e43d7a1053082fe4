// Handlers, the decoding of their input and the encoding of their result.

import { Payload } from "../data/payload.js";
import type { Context } from "./context.js";
import { type Limits, type ReportBody, badPayload, completed, failed, failedWith } from "./final_report.js";

/** The handler of a kind. Its return value is the result of the job, encoded like the input of a submit. */
export type Handler<In, Out = unknown> = (input: In, context: Context) => Out | Promise<Out>;

/** Validates and converts a decoded input, or throws: a function, or an object with `parse` such as a zod schema. */
export type Parser<In> = ((value: unknown) => In | Promise<In>) | { parse(value: unknown): In | Promise<In> };

export interface HandlerOptions<In> {
  /** Parses the input. An error fails the job with BAD_PAYLOAD. Default: no validation. */
  readonly input?: Parser<In> | undefined;
}

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
}

/** Runs the handler of one attempt. Never rejects. */
export async function runHandler(
  registered: RegisteredHandler | undefined,
  context: Context,
  limits: Limits,
): Promise<AttemptResult> {
  if (registered === undefined) {
    return withoutThrow(failed("UNKNOWN_KIND", `this worker has no handler for kind ${context.kind}`));
  }
  let input: unknown;
  try {
    input = await parsed(registered.parser, context.payload.value());
  } catch (error) {
    return withoutThrow(badPayload(error));
  }
  try {
    const result = Payload.of(await registered.handler(input as never, context));
    return { body: completed(result, limits), bytes: result.size, hasThrown: false };
  } catch (error) {
    return { ...withoutThrow(failedWith(error)), hasThrown: true };
  }
}

function withoutThrow(body: ReportBody): AttemptResult {
  return { body, bytes: 0, hasThrown: false };
}

function parsed(parser: Parser<unknown> | undefined, value: unknown): unknown {
  if (parser === undefined) {
    return value;
  }
  return typeof parser === "function" ? parser(value) : parser.parse(value);
}
