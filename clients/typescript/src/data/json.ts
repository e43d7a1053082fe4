// JSON with exact integers; everything else is plain JSON.

import { parse, stringify } from "lossless-json";

/** Numbers with fewer digits in a row, and exponents with fewer than three, are read by `JSON.parse` as they are. */
const MAYBE_INEXACT = /\d{16}|\d[eE]\+?\d{3}/;
/** Up to here whole numbers are integers; beyond it they are floating-point numbers. */
const WHOLE_MAX = 2 ** 64;

/**
 * Reads JSON. Integers beyond 2^53 come as `bigint`, every other number as `number`.
 *
 * @throws SyntaxError if the text is no JSON, or has a number with a fraction or exponent that no `number` can hold.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!MAYBE_INEXACT.test(text)) {
    return value;
  }
  return parse(text, null, { parseNumber: exactNumber, onDuplicateKey: ({ newValue }) => newValue });
}

/**
 * Writes JSON. A `bigint` is written as an integer, `undefined` as `null`, and a whole `number` up to 2^64 with every
 * digit that it has: `JSON.stringify` would replace those after the seventeenth by zeros.
 *
 * @throws TypeError if the value has no form in JSON: a function, a symbol, a cycle.
 */
export function stringifyJson(value: unknown): string {
  if (value === undefined) {
    return "null";
  }
  const text = holdsLargeInteger(value)
    ? stringify(value, null, undefined, [WHOLE_NUMBERS])
    : (JSON.stringify(value) as string | undefined);
  if (text === undefined) {
    throw new TypeError(`a ${typeof value} has no form in JSON: give a value that has one`);
  }
  return text;
}

function exactNumber(text: string): number | bigint {
  const number = Number(text);
  if (/^-?\d+$/.test(text)) {
    return Number.isSafeInteger(number) ? number : BigInt(text);
  }
  if (!Number.isFinite(number)) {
    throw new SyntaxError(`the number ${text.slice(0, 40)} is beyond the largest that a number holds, 1.8e308`);
  }
  return number;
}

/** Whether it is an integer that `JSON.stringify` may write as another one. */
function isLargeWhole(value: unknown): value is number {
  return (
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) <= WHOLE_MAX
  );
}

const WHOLE_NUMBERS = { test: isLargeWhole, stringify: (value: unknown) => BigInt(value as number).toString() };

/** Also tells cycles, by the error of the plain writer, before the exact one meets them. */
function holdsLargeInteger(value: unknown): boolean {
  let found = false;
  JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    // Read anew: a `toJSON` of bigints that a program added would have made a string of it.
    const isBigInt = typeof this[key] === "bigint" || typeof shown === "bigint";
    found ||= isBigInt || isLargeWhole(shown);
    return isBigInt ? 0 : shown;
  });
  return found;
}
