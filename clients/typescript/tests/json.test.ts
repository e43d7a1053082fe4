import assert from "node:assert/strict";
import { test } from "node:test";

import { parseJson, stringifyJson } from "jobstream";

test("integers beyond 2^53 are decoded as bigints, other numbers as numbers", () => {
  const text = '{"a":9007199254740993,"b":-9223372036854775808,"c":9007199254740991,"d":1.5,"e":0.12345678901234566}';
  const value = { a: 9007199254740993n, b: -9223372036854775808n, c: 9007199254740991, d: 1.5, e: 0.12345678901234566 };
  assert.deepEqual(parseJson(text), value);
  assert.equal(stringifyJson(value), text);
});

test("whole numbers beyond 2^53 are encoded with all digits, up to 2^64", () => {
  const value = { id: 2 ** 60, list: [-(2 ** 63), 2 ** 53], far: 1e21, half: 0.5 };
  const text = '{"id":1152921504606846976,"list":[-9223372036854775808,9007199254740992],"far":1e+21,"half":0.5}';
  assert.equal(stringifyJson(value), text);
  assert.equal(stringifyJson({ ...value, big: 1n }), text.replace("}", ',"big":1}'));
});

test("a number that would become infinite is rejected", () => {
  assert.equal(parseJson("1e308"), 1e308);
  for (const text of ["1e400", "[-1.5E+999]", `${"9".repeat(400)}.5`]) {
    assert.throws(() => parseJson(text), SyntaxError);
  }
});

test("a string of digits is decoded as a string", () => {
  assert.equal(parseJson('"12345678901234567890"'), "12345678901234567890");
});

test("values without large integers are encoded as by JSON.stringify", () => {
  const date = new Date(0);
  const value = { date, gone: undefined, list: [undefined, NaN], nested: { toJSON: () => "own" } };
  assert.equal(stringifyJson(value), JSON.stringify(value));
  assert.equal(stringifyJson({ ...value, big: 1n }), JSON.stringify({ ...value, big: 1 }));
  assert.equal(stringifyJson(undefined), "null");
});

test("the last of two equal keys wins, as in JSON.parse", () => {
  assert.deepEqual(parseJson('{"a": 1, "a": 9007199254740993}'), { a: 9007199254740993n });
});

test("values that cannot be encoded as JSON are rejected", () => {
  const cycle: Record<string, unknown> = { big: 1n };
  cycle["self"] = cycle;
  assert.throws(() => stringifyJson(cycle), TypeError);
  assert.throws(() => stringifyJson(() => 1), /a function cannot be encoded as JSON/);
  assert.throws(() => parseJson("{"), SyntaxError);
});
