// Handlers, and how their input becomes a value and their answer a payload.

import { Payload } from "../data/payload.js";
import type { Context } from "./context.js";
import { type Limits, type News, badPayload, completed, failed, thrown } from "./verdict.js";

/** Does the work of one kind. What it answers is the job's result: sent as the input of a submit is. */
export type Handler<In, Out = unknown> = (input: In, context: Context) => Out | Promise<Out>;

/** Makes a typed value of decoded input, or throws: a function, or an object with `parse` such as a schema of zod. */
export type Parser<In> = ((value: unknown) => In | Promise<In>) | { parse(value: unknown): In | Promise<In> };

export interface HandlerOptions<In> {
  /** Reads the input. What it throws fails the job with BAD_PAYLOAD. Default: input is taken as it comes. */
  readonly input?: Parser<In> | undefined;
}

/** A handler of any input, with its parser. */
export interface Duty {
  readonly handler: Handler<never>;
  readonly parser: Parser<unknown> | undefined;
}

/** How an attempt ended by itself, and whether it did so by throwing. */
export interface Conclusion {
  readonly news: News;
  readonly bytes: number;
  readonly hasThrown: boolean;
}

/** Runs one attempt to its end. Never rejects. */
export async function conclude(duty: Duty | undefined, context: Context, limits: Limits): Promise<Conclusion> {
  if (duty === undefined) {
    return answered(failed("UNKNOWN_KIND", `this worker has no handler for kind ${context.kind}`));
  }
  let input: unknown;
  try {
    input = await parsed(duty.parser, context.payload.value());
  } catch (error) {
    return answered(badPayload(error));
  }
  try {
    const result = Payload.of(await duty.handler(input as never, context));
    return { news: completed(result, limits), bytes: result.size, hasThrown: false };
  } catch (error) {
    return { ...answered(thrown(error)), hasThrown: true };
  }
}

function answered(news: News): Conclusion {
  return { news, bytes: 0, hasThrown: false };
}

function parsed(parser: Parser<unknown> | undefined, value: unknown): unknown {
  if (parser === undefined) {
    return value;
  }
  return typeof parser === "function" ? parser(value) : parser.parse(value);
}
