// JSON with exact integers; everything else is plain JSON.

import { parse, stringify } from "lossless-json";

/** Fewer digits in a row than these are exact in a `number`. */
const MAYBE_INEXACT = /\d{16}/;

/**
 * Reads JSON. Integers beyond 2^53 come as `bigint`, every other number as `number`.
 *
 * @throws SyntaxError if the text is no JSON.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!MAYBE_INEXACT.test(text)) {
    return value;
  }
  return parse(text, null, { parseNumber: exactNumber, onDuplicateKey: ({ newValue }) => newValue });
}

/**
 * Writes JSON. A `bigint` is written as an integer, `undefined` as `null`.
 *
 * @throws TypeError if the value has no form in JSON: a function, a symbol, a cycle.
 */
export function stringifyJson(value: unknown): string {
  if (value === undefined) {
    return "null";
  }
  const text = holdsBigInt(value) ? stringify(value) : (JSON.stringify(value) as string | undefined);
  if (text === undefined) {
    throw new TypeError(`a ${typeof value} has no form in JSON: give a value that has one`);
  }
  return text;
}

function exactNumber(text: string): number | bigint {
  const number = Number(text);
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(number) ? BigInt(text) : number;
}

/** Also tells cycles, by the error of the plain writer, before the exact one meets them. */
function holdsBigInt(value: unknown): boolean {
  let found = false;
  JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    // Read anew: a `toJSON` of bigints that a program added would have made a string of it.
    const isBigInt = typeof this[key] === "bigint" || typeof shown === "bigint";
    found ||= isBigInt;
    return isBigInt ? 0 : shown;
  });
  return found;
}
