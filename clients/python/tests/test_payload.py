"""Tests the encoding and decoding of payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import pydantic
import pytest

from jobstream import Payload
from jobstream.payload import JSON, BadPayload, decode, decode_as, encode
from jobstream.v1 import payload_pb2


@dataclass
class Point:
    x: int
    y: int = 0


class Size(TypedDict):
    width: int


class Model(pydantic.BaseModel):
    count: int


@dataclass
class Nested:
    points: list[Point]
    model: Model


def json_payload(text: str) -> Payload:
    return Payload(text, JSON)


@pytest.mark.parametrize("number", [9007199254740993, 2**63 - 1, 2**64 - 1, -(2**63), 2**100])
def test_integers_stay_exact(number: int) -> None:
    payload = encode({"number": number})
    assert decode_as(payload, dict[str, int]) == {"number": number}
    assert str(number) in payload.body
    assert decode(payload) == {"number": number}


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**60, 2**63, 2**64])
def test_whole_numbers_of_the_json_field_are_exact(number: int) -> None:
    payload = payload_pb2.Payload()
    payload.json.number_value = number
    read = Payload.from_proto(payload)
    assert read.body == str(number)
    assert decode_as(read, int) == number


def test_numbers_of_the_json_field_beyond_64_bits_are_floats() -> None:
    payload = payload_pb2.Payload()
    payload.json.number_value = 6.022e23
    assert Payload.from_proto(payload).body == "6.022e+23"


@pytest.mark.parametrize("text", ["1e400", "[-1e400]", "NaN", '{"a":-Infinity}'])
def test_number_out_of_float_range_is_rejected(text: str) -> None:
    with pytest.raises(BadPayload, match="not valid JSON"):
        decode(json_payload(text))


def test_typed_values_round_trip_as_json() -> None:
    nested = Nested([Point(1, 2)], Model(count=3))
    payload = encode(nested)
    assert payload == json_payload('{"points":[{"x":1,"y":2}],"model":{"count":3}}')
    assert decode_as(payload, Nested) == nested


@pytest.mark.parametrize(
    ("wanted", "text", "field"),
    [
        (Point, '{"x":"one"}', "x"),
        (Point, "{}", "x"),
        (Size, '{"width":1.5}', "width"),
        (Model, '{"count":"many"}', "count"),
        (Nested, '{"points":[{"x":1},{"x":null}],"model":{"count":1}}', r"points\[1\]\.x"),
        (int, '"1"', "int"),
    ],
)
def test_mismatch_error_names_the_field(wanted: type, text: str, field: str) -> None:
    with pytest.raises(BadPayload, match=field):
        decode_as(json_payload(text), wanted)


def test_content_type_selects_the_decoding() -> None:
    assert decode(Payload.from_text("[1]")) == "[1]"
    assert decode(json_payload("[1]")) == [1]
    assert decode(Payload.from_bytes(b'{"a":1}', "application/problem+json")) == {"a": 1}
    assert decode(Payload.from_bytes(b"\xff")) == b"\xff"
    assert decode(Payload.from_bytes("\u00e9".encode(), "text/plain")) == "\u00e9"


def test_payload_is_readable_as_text_json_and_bytes() -> None:
    payload = json_payload('{"a":"\u00e9"}')
    assert (payload.text, payload.json()) == ('{"a":"\u00e9"}', {"a": "\u00e9"})
    assert payload.bytes == '{"a":"\u00e9"}'.encode()
    assert Payload.from_bytes(b"[1]", "application/octet-stream").json() == [1]
    assert Payload.from_bytes(b"a\xff").text == "a\ufffd"
    assert Payload().json() is None
    with pytest.raises(BadPayload, match="not valid JSON"):
        Payload.from_text("plain").json()


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (Payload.from_text("plain"), "plain"),
        (json_payload('{"a":1}'), '{"a":1}'),
        (Payload.from_bytes(b'{"a":1}', "application/json"), '{"a":1}'),
        (Payload.from_text("x" * 500), "x" * 197 + "..."),
        (Payload.from_bytes(b"\x89PNG", "image/png"), "image/png, 4 bytes"),
        (Payload(), "application/octet-stream, 0 bytes"),
    ],
    ids=str,
)
def test_string_of_a_payload_is_its_text_or_its_type_and_size(payload: Payload, shown: str) -> None:
    assert str(payload) == shown
    assert shown in repr(payload)


def test_bytes_and_payloads_are_sent_unchanged() -> None:
    assert encode(b"\x00").to_proto() == payload_pb2.Payload(data=b"\x00", content_type="application/octet-stream")
    assert encode(Payload.from_text("plain")).to_proto().text == "plain"


@pytest.mark.parametrize("value", [object(), float("nan"), {1, object()}], ids=["object", "nan", "set"])
def test_value_without_json_encoding_is_rejected_with_a_hint(value: object) -> None:
    with pytest.raises(TypeError, match="pass plain types or a Payload"):
        encode(value)


def test_json_field_is_decoded() -> None:
    payload = payload_pb2.Payload()
    payload.json.struct_value.update({"a": [1, 2.5, None, True, "x"]})
    assert decode(Payload.from_proto(payload)) == {"a": [1, 2.5, None, True, "x"]}
