"""Job payloads: bytes or text with a content type, and their JSON encoding and decoding."""

from __future__ import annotations

import json
import math
import sys
import types
import typing
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec

from .v1 import payload_pb2

T = TypeVar("T")

WHOLE_MAX = float(2**64)
"""A whole number of the `json` field up to this is decoded as an integer, a larger one as a float."""

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
SHOWN_CHARS_MAX = 200


@dataclass(frozen=True)
class Payload:
    """Text or bytes, with a MIME type."""

    body: bytes | str = b""
    content_type: str = ""
    """At most 128 bytes of printable ASCII. Default: text/plain for text, application/octet-stream for bytes."""

    @classmethod
    def from_text(cls, text: str, content_type: str = TEXT) -> Payload:
        """A text payload."""
        return cls(text, content_type)

    @classmethod
    def from_bytes(cls, data: bytes, content_type: str = BYTES) -> Payload:
        """A binary payload."""
        return cls(data, content_type)

    @property
    def text(self) -> str:
        """The content as text. Bytes are decoded as UTF-8; invalid ones are replaced."""
        return self.body if isinstance(self.body, str) else self.body.decode(errors="replace")

    def json(self) -> Any:
        """The content decoded as JSON; None if it is empty. Raises BadPayload, a ValueError, if it is not JSON."""
        return read_json(self)

    @property
    def bytes(self) -> bytes:
        """The content as bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        default = TEXT if isinstance(self.body, str) else BYTES
        return (self.content_type or default).partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        return self.media_type == JSON or self.media_type.endswith("+json")

    def __str__(self) -> str:
        """Text and JSON in at most 200 characters; for other content the content type and the size."""
        if not (self.is_json or self.media_type.startswith("text/")):
            return f"{self.media_type}, {len(self.body)} bytes"
        text = self.text
        return text if len(text) <= SHOWN_CHARS_MAX else f"{text[: SHOWN_CHARS_MAX - 3]}..."

    def __repr__(self) -> str:
        return f"<Payload {self.media_type}: {str(self)!r}>"

    def to_proto(self) -> payload_pb2.Payload:
        if isinstance(self.body, str):
            return payload_pb2.Payload(text=self.body, content_type=self.content_type)
        return payload_pb2.Payload(data=self.body, content_type=self.content_type)

    @classmethod
    def from_proto(cls, payload: payload_pb2.Payload) -> Payload:
        match payload.WhichOneof("body"):
            case "text":
                return cls(payload.text, payload.content_type)
            case "json":
                return cls(json.dumps(to_python_value(payload.json)), JSON)
            case _:
                return cls(payload.data, payload.content_type)


class BadPayload(ValueError):
    """A payload that cannot be decoded as requested. The message names the field."""


def encode(value: object) -> Payload:
    """Encodes a value: bytes as bytes, a Payload unchanged, everything else as JSON.

    Raises TypeError if the value cannot be encoded as JSON.
    """
    if isinstance(value, Payload):
        return value
    if isinstance(value, (bytes, bytearray)):
        return Payload.from_bytes(bytes(value))
    try:
        plain = msgspec.to_builtins(value, enc_hook=dump_model)
        return Payload(json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")), JSON)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise TypeError(
            f"a {type(value).__qualname__} cannot be encoded as JSON: {error}: pass plain types or a Payload"
        ) from error


def decode(payload: Payload) -> Any:
    """Decodes by content type: JSON, plain text as a string, anything else as bytes."""
    if payload.is_json:
        return read_json(payload)
    if payload.media_type == "text/plain":
        return payload.text
    return payload.bytes


def decode_as(payload: Payload, wanted: type[T]) -> T:
    """Decodes as the requested type: Payload and bytes undecoded, any other type from JSON or text.

    Raises BadPayload, which names the field.
    """
    if wanted in (Any, object):
        return cast("T", decode(payload))
    if wanted is Payload:
        return cast("T", payload)
    if wanted is bytes:
        return cast("T", payload.bytes)
    try:
        return msgspec.convert(decode(payload), wanted, dec_hook=load_model)
    except msgspec.ValidationError as error:
        raise BadPayload(f"the payload does not fit {name_of(wanted)}: {error}") from None


def read_json(payload: Payload) -> Any:
    if not payload.body:
        return None
    try:
        return DECODER.decode(payload.body if isinstance(payload.body, str) else text_of(payload.body))
    except ValueError as error:
        raise BadPayload(f"the payload is not valid JSON: {error}") from None


def text_of(data: bytes) -> str:
    return data.decode(json.detect_encoding(data), "surrogatepass")


def read_float(text: str) -> float:
    """Raises ValueError for a number that would become infinite."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text:.40} is larger than the largest float, {sys.float_info.max:g}")
    return number


def reject_constant(name: str) -> float:
    """Rejects NaN and Infinity, which are not JSON."""
    raise ValueError(f"{name} is not a JSON number")


DECODER = json.JSONDecoder(parse_float=read_float, parse_constant=reject_constant)
"""The JSON decoder. Integers of any size are exact."""


def dump_model(value: Any) -> Any:
    """Encodes a pydantic model. Does not import pydantic."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise NotImplementedError(f"{type(value).__qualname__} is not a plain type, a dataclass or a model")


def load_model(wanted: Any, value: Any) -> Any:
    if hasattr(wanted, "model_validate"):
        return wanted.model_validate(value)
    raise NotImplementedError(f"{name_of(wanted)} is not a plain type, a dataclass or a model")


def name_of(wanted: Any) -> str:
    is_composed = typing.get_origin(wanted) is not None or isinstance(wanted, types.UnionType)
    return str(wanted) if is_composed else str(getattr(wanted, "__qualname__", wanted))


def to_python_value(value: Any) -> Any:
    """Converts a google.protobuf.Value. Its numbers are doubles: whole numbers within 64 bits become integers."""
    kind = value.WhichOneof("kind")
    match kind:
        case "struct_value":
            return {key: to_python_value(member) for key, member in value.struct_value.fields.items()}
        case "list_value":
            return [to_python_value(member) for member in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= WHOLE_MAX else number
        case "string_value" | "bool_value":
            return getattr(value, kind)
        case _:
            return None
