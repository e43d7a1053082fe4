// What jobs carry: input, result or a chunk of output.

import { create, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";

import { InvalidRequest } from "../errors.js";
import { type Payload as Wire, PayloadSchema } from "../gen/jobstream/v1/payload_pb.js";
import { parseJson, stringifyJson } from "./json.js";
import { byteLength } from "./text.js";

export const JSON_TYPE = "application/json";
const TEXT_TYPE = "text/plain; charset=utf-8";
const DATA_TYPE = "application/octet-stream";
const CONTENT_TYPE = /^[\x20-\x7e]{0,128}$/;

/** Bytes or text with a content type, as a job carries them. Immutable; at most 1 MiB, unless the server allows more. */
export class Payload {
  readonly #body: Uint8Array | string | undefined;
  /** As said by who made it; empty if it is left to the default. */
  readonly #contentType: string;

  private constructor(body: Uint8Array | string | undefined, contentType: string) {
    if (!CONTENT_TYPE.test(contentType)) {
      const text = `is ${JSON.stringify(contentType)}: allowed are at most 128 characters of printable ASCII`;
      throw InvalidRequest.of("content_type", text);
    }
    this.#body = body;
    this.#contentType = contentType;
  }

  /** Text; as plain text unless another content type is said. */
  static text(text: string, contentType = ""): Payload {
    return new Payload(text, contentType);
  }

  /** Bytes; `application/octet-stream` unless another content type is said. They are not copied. */
  static data(bytes: Uint8Array, contentType = ""): Payload {
    return new Payload(bytes, contentType);
  }

  /**
   * A value as JSON, sent as text, so that integers stay exact; `undefined` as `null`.
   *
   * @throws TypeError if the value has no form in JSON.
   */
  static json(value: unknown): Payload {
    return new Payload(stringifyJson(value), JSON_TYPE);
  }

  /** A value as it is sent when nothing is said: a payload as it is, bytes as data, everything else as JSON. */
  static of(value: unknown): Payload {
    if (value instanceof Payload) {
      return value;
    }
    return value instanceof Uint8Array ? Payload.data(value) : Payload.json(value);
  }

  /** As [of], but a string is plain text: what a chunk of output is made of. */
  static chunk(value: unknown): Payload {
    return typeof value === "string" ? Payload.text(value) : Payload.of(value);
  }

  /** MIME type of the content. */
  get contentType(): string {
    return this.#contentType || (typeof this.#body === "string" ? TEXT_TYPE : DATA_TYPE);
  }

  /** Whether the content is JSON, by its type. */
  get isJson(): boolean {
    const type = mediaType(this.contentType);
    return type === JSON_TYPE || type.endsWith("+json");
  }

  /** Whether the content is plain text, by its type. */
  get isPlainText(): boolean {
    return mediaType(this.contentType) === "text/plain";
  }

  /** Size of the content in bytes. */
  get size(): number {
    return typeof this.#body === "string" ? byteLength(this.#body) : (this.#body?.length ?? 0);
  }

  /** The content as bytes. */
  bytes(): Uint8Array {
    return typeof this.#body === "string" ? new TextEncoder().encode(this.#body) : (this.#body ?? new Uint8Array());
  }

  /**
   * The content as text.
   *
   * @throws TypeError if it is no UTF-8.
   */
  text(): string {
    return typeof this.#body === "string"
      ? this.#body
      : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.#body);
  }

  /**
   * The content as what its type says: JSON decoded, plain text as a string, anything else as bytes. Without any
   * content it is `null`.
   *
   * Integers beyond 2^53 are `bigint`s; `text()` has the digits as they came.
   *
   * @throws SyntaxError if it is said to be JSON and is none, TypeError if text is no UTF-8.
   */
  value(): unknown {
    if (this.#body === undefined) {
      return null;
    }
    if (this.isJson) {
      return parseJson(this.text());
    }
    return this.isPlainText ? this.text() : this.bytes();
  }

  /** For people, in logs and debuggers. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Payload(${this.contentType}, ${this.size} bytes)`;
  }

  /** @internal */
  static read(wire: Wire | undefined): Payload {
    switch (wire?.body.case) {
      case "text":
      case "data":
        return new Payload(wire.body.value, wire.contentType);
      case "json":
        return Payload.json(toJson(ValueSchema, wire.body.value));
      case undefined:
        return new Payload(undefined, wire?.contentType ?? "");
    }
  }

  /** @internal */
  write(): Wire {
    const contentType = this.#contentType;
    switch (typeof this.#body) {
      case "string":
        return create(PayloadSchema, { body: { case: "text", value: this.#body }, contentType });
      case "undefined":
        return create(PayloadSchema, { contentType });
      default:
        return create(PayloadSchema, { body: { case: "data", value: this.#body }, contentType });
    }
  }
}

function mediaType(contentType: string): string {
  return (contentType.split(";", 1)[0] ?? "").trim().toLowerCase();
}
