// Job payloads: inputs, results and chunks of output.

import { create, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";

import { InvalidRequest } from "../errors.js";
import { type Payload as Wire, PayloadSchema } from "../gen/jobstream/v1/payload_pb.js";
import { parseJson, stringifyJson } from "./json.js";
import { byteLength, shorten } from "./text.js";

export const JSON_TYPE = "application/json";
const TEXT_TYPE = "text/plain; charset=utf-8";
const DATA_TYPE = "application/octet-stream";
const SHOWN_CHARACTERS_MAX = 200;
const CONTENT_TYPE = /^[\x20-\x7e]{0,128}$/;

/** Bytes or text with a content type. Immutable. The default limit of the server is 1 MiB. */
export class Payload {
  readonly #body: Uint8Array | string | undefined;
  /** The explicit content type; empty for the default. */
  readonly #contentType: string;

  private constructor(body: Uint8Array | string | undefined, contentType: string) {
    if (!CONTENT_TYPE.test(contentType)) {
      const text = `is ${JSON.stringify(contentType)}: must be printable ASCII of at most 128 characters`;
      throw InvalidRequest.of("content_type", text);
    }
    this.#body = body;
    this.#contentType = contentType;
  }

  /** A text payload, plain text by default. */
  static text(text: string, contentType = ""): Payload {
    return new Payload(text, contentType);
  }

  /** A binary payload, `application/octet-stream` by default. The bytes are not copied. */
  static data(bytes: Uint8Array, contentType = ""): Payload {
    return new Payload(bytes, contentType);
  }

  /**
   * A value encoded as JSON text with exact integers; `undefined` as `null`.
   *
   * @throws TypeError if the value cannot be encoded as JSON.
   */
  static json(value: unknown): Payload {
    return new Payload(stringifyJson(value), JSON_TYPE);
  }

  /** The default encoding of a value: a payload unchanged, bytes as data, everything else as JSON. */
  static of(value: unknown): Payload {
    if (value instanceof Payload) {
      return value;
    }
    return value instanceof Uint8Array ? Payload.data(value) : Payload.json(value);
  }

  /** Like [of], but a string is plain text. Used for chunks of output. */
  static chunk(value: unknown): Payload {
    return typeof value === "string" ? Payload.text(value) : Payload.of(value);
  }

  /** MIME type of the content. */
  get contentType(): string {
    return this.#contentType || (typeof this.#body === "string" ? TEXT_TYPE : DATA_TYPE);
  }

  /** Whether the content type is JSON. */
  get isJson(): boolean {
    const type = mediaType(this.contentType);
    return type === JSON_TYPE || type.endsWith("+json");
  }

  /** Whether the content type is plain text. */
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
   * @throws TypeError if it is not UTF-8.
   */
  text(): string {
    return typeof this.#body === "string"
      ? this.#body
      : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.#body);
  }

  /**
   * Decodes the content as JSON, whatever its content type. Empty content is `null`.
   *
   * @throws SyntaxError if the content is not valid JSON, TypeError if it is not UTF-8.
   */
  json(): unknown {
    return this.size === 0 ? null : parseJson(this.text());
  }

  /**
   * Decodes the content by its type: JSON, plain text as a string, anything else as bytes. Empty content is `null`.
   *
   * Integers beyond 2^53 are `bigint`s. `text()` returns the original digits.
   *
   * @throws SyntaxError if the content is not valid JSON, TypeError if it is not UTF-8.
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

  /** Text and JSON, shortened to 200 characters; for other content the content type and the size. */
  toString(): string {
    return this.#shownText() ?? `${this.contentType}, ${this.size} bytes`;
  }

  /** Shown in logs and debuggers. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const text = this.#shownText() ?? `${this.size} bytes`;
    return `Payload(${this.contentType}: ${text})`;
  }

  /** The shortened text; undefined if the content is not text. */
  #shownText(): string | undefined {
    if (typeof this.#body !== "string" && !this.isJson && !mediaType(this.contentType).startsWith("text/")) {
      return undefined;
    }
    try {
      return shorten(this.text(), SHOWN_CHARACTERS_MAX);
    } catch {
      return undefined; // The bytes are not UTF-8.
    }
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
