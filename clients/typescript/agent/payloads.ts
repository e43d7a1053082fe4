// Converts payloads of the agent protocol.

import { Payload, parseJson, stringifyJson } from "jobstream";

import type { WirePayload } from "./protocol.js";

/** Converts a payload to the input of a typed call. */
export function valueOf(wire: WirePayload): unknown {
  switch (wire.type) {
    case "json":
      return parseJson(wire.text);
    case "text":
      return Payload.text(wire.text);
    case "data":
      return Payload.data(Buffer.from(wire.base64, "base64"), wire.content_type);
  }
}

export function wireOf(payload: Payload): WirePayload {
  if (payload.isJson) {
    return { type: "json", text: stringifyJson(payload.value()) };
  }
  if (payload.isPlainText) {
    return { type: "text", text: payload.text() };
  }
  return { type: "data", base64: Buffer.from(payload.bytes()).toString("base64"), content_type: payload.contentType };
}
