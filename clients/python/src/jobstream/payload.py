"""What goes in and comes out of a job: bytes with a content type, and JSON in the types of this language."""

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
"""Up to here a whole number of the `json` arm, which is a double, is read as an integer; beyond it is a float."""

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"


@dataclass(frozen=True)
class Payload:
    """Content as it is sent: text or bytes, and the MIME type that says what they are."""

    body: bytes | str = b""
    content_type: str = ""
    """At most 128 bytes of printable ASCII. Default: plain text for text, application/octet-stream for bytes."""

    @classmethod
    def text(cls, text: str, content_type: str = TEXT) -> Payload:
        """Plain text, or text of another type."""
        return cls(text, content_type)

    @classmethod
    def data(cls, data: bytes, content_type: str = BYTES) -> Payload:
        """Bytes of a type."""
        return cls(data, content_type)

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
                return cls(json.dumps(plain_value(payload.json)), JSON)
            case _:
                return cls(payload.data, payload.content_type)


class BadPayload(ValueError):
    """Content that is not what it was to be read as; the message names the field."""


def encode(value: object) -> Payload:
    """Bytes as bytes, a Payload as it is, everything else as JSON.

    Raises TypeError for what has no JSON.
    """
    if isinstance(value, Payload):
        return value
    if isinstance(value, (bytes, bytearray)):
        return Payload.data(bytes(value))
    try:
        plain = msgspec.to_builtins(value, enc_hook=dump_model)
        return Payload(json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")), JSON)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise TypeError(f"a {type(value).__qualname__} has no JSON: {error}: pass plain types or a Payload") from error


def decode(payload: Payload) -> Any:
    """What the content type says: JSON decoded, plain text as a string, anything else as bytes."""
    if payload.is_json:
        return read_json(payload)
    if payload.media_type == "text/plain":
        return payload.body if isinstance(payload.body, str) else payload.bytes.decode(errors="replace")
    return payload.bytes


def decode_as(payload: Payload, wanted: type[T]) -> T:
    """The content as this type: Payload, bytes, or what fits the decoded value.

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
        raise BadPayload(f"the payload is no JSON: {error}") from None


def text_of(data: bytes) -> str:
    return data.decode(json.detect_encoding(data), "surrogatepass")


def read_float(text: str) -> float:
    """Raises ValueError for a number that would silently become infinite."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text:.40} is beyond the largest float, {sys.float_info.max:g}")
    return number


def refuse_constant(name: str) -> float:
    """NaN and Infinity are of Python's own dialect."""
    raise ValueError(f"{name} is no number of JSON")


DECODER = json.JSONDecoder(parse_float=read_float, parse_constant=refuse_constant)
"""Integers are exact whatever their size."""


def dump_model(value: Any) -> Any:
    """Of pydantic, which needs not be installed."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise NotImplementedError(f"{type(value).__qualname__} is neither a plain type nor a dataclass nor a model")


def load_model(wanted: Any, value: Any) -> Any:
    if hasattr(wanted, "model_validate"):
        return wanted.model_validate(value)
    raise NotImplementedError(f"{name_of(wanted)} is neither a plain type nor a dataclass nor a model")


def name_of(wanted: Any) -> str:
    is_composed = typing.get_origin(wanted) is not None or isinstance(wanted, types.UnionType)
    return str(wanted) if is_composed else str(getattr(wanted, "__qualname__", wanted))


def plain_value(value: Any) -> Any:
    """The value of a google.protobuf.Value: its numbers are doubles, whole ones within 64 bits become integers."""
    kind = value.WhichOneof("kind")
    match kind:
        case "struct_value":
            return {key: plain_value(member) for key, member in value.struct_value.fields.items()}
        case "list_value":
            return [plain_value(member) for member in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= WHOLE_MAX else number
        case "string_value" | "bool_value":
            return getattr(value, kind)
        case _:
            return None
