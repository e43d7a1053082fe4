import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { InvalidRequest, Payload } from "jobstream";
import { PayloadSchema } from "jobstream/v1";

import { truncateText } from "#dist/data/text.js";

test("the content type selects the decoding", () => {
  assert.deepEqual(Payload.json([1]).value(), [1]);
  assert.deepEqual(Payload.text("[1]").value(), "[1]");
  assert.deepEqual(Payload.text("[1]", "application/problem+json; charset=utf-8").value(), [1]);
  assert.deepEqual(Payload.data(new TextEncoder().encode("é"), "text/plain").value(), "é");
  assert.deepEqual(Payload.data(new Uint8Array([1])).value(), new Uint8Array([1]));
});

test("a payload is readable as text, JSON and bytes", () => {
  const payload = Payload.data(new TextEncoder().encode('{"n":1}'));
  assert.equal(payload.text(), '{"n":1}');
  assert.deepEqual(payload.json(), { n: 1 });
  assert.deepEqual(payload.bytes(), new TextEncoder().encode('{"n":1}'));
  assert.equal(Payload.text("").json(), null);
  assert.throws(() => Payload.text("no JSON").json(), SyntaxError);
});

test("the string form is shortened text, or the content type and the size", () => {
  assert.equal(String(Payload.text("hello")), "hello");
  assert.equal(String(Payload.json({ n: 1 })), '{"n":1}');
  assert.equal(String(Payload.data(new TextEncoder().encode("é"), "text/csv")), "é");
  assert.equal(String(Payload.text("é".repeat(201))), `${"é".repeat(199)}…`);
  assert.equal(String(Payload.text("🚀".repeat(200))), "🚀".repeat(200));
  assert.equal(String(Payload.data(new Uint8Array(3), "image/png")), "image/png, 3 bytes");
  assert.equal(String(Payload.data(new Uint8Array([0xff]), "text/plain")), "text/plain, 1 bytes");
  assert.equal(inspect(Payload.json({ n: 1 })), 'Payload(application/json: {"n":1})');
  assert.equal(inspect(Payload.data(new Uint8Array(3))), "Payload(application/octet-stream: 3 bytes)");
});

test("a value is encoded as JSON unless it is bytes or a payload", () => {
  const bytes = Buffer.from("x");
  assert.equal(Payload.of("x").contentType, "application/json");
  assert.equal(Payload.of(bytes).contentType, "application/octet-stream");
  assert.equal(Payload.chunk("x").contentType, "text/plain; charset=utf-8");
  const payload = Payload.text("a,b", "text/csv");
  assert.equal(Payload.of(payload), payload);
});

test("whole numbers of the json field are exact", () => {
  const value = fromJson(ValueSchema, { id: 2 ** 60, far: 6.022e23, half: -1.5 });
  const payload = Payload.read(create(PayloadSchema, { body: { case: "json", value } }));
  assert.equal(payload.text(), '{"id":1152921504606846976,"far":6.022e+23,"half":-1.5}');
  assert.deepEqual(payload.value(), { id: 1152921504606846976n, far: 6.022e23, half: -1.5 });
});

test("size is in bytes", () => {
  assert.equal(Payload.text("é🚀").size, 6);
});

test("an invalid content type is rejected", () => {
  assert.throws(
    () => Payload.text("x", "naïve"),
    (error) => error instanceof InvalidRequest && error.message.includes("printable ASCII"),
  );
});

test("text is truncated between characters", () => {
  assert.equal(truncateText("aé🚀", 7), "aé🚀");
  assert.equal(truncateText("aé🚀", 6), "aé");
  assert.equal(truncateText("aé🚀", 2), "a");
});
