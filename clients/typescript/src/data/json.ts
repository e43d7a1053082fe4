// JSON with exact integers. Other values are encoded as by `JSON`.

import { parse, stringify } from "lossless-json";

/** Matches numbers that `JSON.parse` may not decode exactly: 16 or more digits, or large exponents. */
const MAYBE_INEXACT = /\d{16}|\d[eE]\+?\d{3}/;
/** Largest whole number that is encoded as an integer. */
const WHOLE_MAX = 2 ** 64;

/**
 * Decodes JSON. Integers beyond 2^53 are decoded as `bigint`, all other numbers as `number`.
 *
 * @throws SyntaxError if the text is not valid JSON, or has a number with a fraction or exponent that overflows.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!MAYBE_INEXACT.test(text)) {
    return value;
  }
  return parse(text, null, { parseNumber: exactNumber, onDuplicateKey: ({ newValue }) => newValue });
}

/**
 * Encodes JSON. A `bigint` is encoded as an integer, `undefined` as `null`, and a whole `number` up to 2^64 with all
 * its digits: `JSON.stringify` would print zeros after the seventeenth digit.
 *
 * @throws TypeError if the value cannot be encoded as JSON: a function, a symbol, a cycle.
 */
export function stringifyJson(value: unknown): string {
  if (value === undefined) {
    return "null";
  }
  const text = holdsLargeInteger(value)
    ? stringify(value, null, undefined, [WHOLE_NUMBERS])
    : (JSON.stringify(value) as string | undefined);
  if (text === undefined) {
    throw new TypeError(`a ${typeof value} cannot be encoded as JSON`);
  }
  return text;
}

function exactNumber(text: string): number | bigint {
  const number = Number(text);
  if (/^-?\d+$/.test(text)) {
    return Number.isSafeInteger(number) ? number : BigInt(text);
  }
  if (!Number.isFinite(number)) {
    throw new SyntaxError(`the number ${text.slice(0, 40)} is larger than the largest number, 1.8e308`);
  }
  return number;
}

/** Whether `JSON.stringify` may encode this integer inexactly. */
function isLargeWhole(value: unknown): value is number {
  return (
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) <= WHOLE_MAX
  );
}

const WHOLE_NUMBERS = { test: isLargeWhole, stringify: (value: unknown) => BigInt(value as number).toString() };

/** Whether the value contains such an integer. Also throws the error of `JSON.stringify` for a cycle. */
function holdsLargeInteger(value: unknown): boolean {
  let found = false;
  JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    // Reads the property again: a `toJSON` of bigints added by the program would have converted it to a string.
    const isBigInt = typeof this[key] === "bigint" || typeof shown === "bigint";
    found ||= isBigInt || isLargeWhole(shown);
    return isBigInt ? 0 : shown;
  });
  return found;
}
