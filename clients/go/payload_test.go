package jobstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

func roundTrip(t *testing.T, value any) Payload {
	t.Helper()
	payload, err := encode(value)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := payload.wire()
	if err != nil {
		t.Fatal(err)
	}
	return readPayload(wire)
}

func TestIntegersStayExact(t *testing.T) {
	for _, number := range []uint64{1<<53 + 1, math.MaxInt64, math.MaxUint64} {
		payload := roundTrip(t, map[string]uint64{"n": number})
		var typed map[string]uint64
		if err := payload.Decode(&typed); err != nil || typed["n"] != number {
			t.Error(typed, err)
		}
		var untyped any
		if err := payload.Decode(&untyped); err != nil {
			t.Fatal(err)
		}
		if again := roundTrip(t, untyped); again.Text() != payload.Text() {
			t.Errorf("%s became %s", payload, again)
		}
	}
}

func TestWholeNumbersOfTheJSONFieldAreExact(t *testing.T) {
	value, err := structpb.NewValue([]any{float64(1 << 53), float64(1 << 60), float64(1 << 63), -1.5, 6.022e23, math.Copysign(0, -1)})
	if err != nil {
		t.Fatal(err)
	}
	payload := readPayload(&jobstreamv1.Payload{Body: &jobstreamv1.Payload_Json{Json: value}})
	const expected = "[9007199254740992,1152921504606846976,9223372036854775808,-1.5,6.022e+23,-0]"
	if payload.Text() != expected {
		t.Errorf("%s, not %s", payload, expected)
	}
}

func TestContentTypeSelectsTheDecodingOfAny(t *testing.T) {
	for _, test := range []struct{ sent, expected any }{
		{map[string]any{"a": nil}, map[string]any{"a": nil}},
		{"a text", "a text"},
		{nil, nil},
		{Text("[1]"), "[1]"},
		{Text(""), ""},
		{[]byte{0, 255}, []byte{0, 255}},
		{Data([]byte("{}"), "image/png"), []byte("{}")},
		{TextOf("a,b", "text/csv"), []byte("a,b")},
		{json.RawMessage(`{"b":1.50}`), map[string]any{"b": json.Number("1.50")}},
		{Payload{}, nil},
	} {
		var read any
		if err := roundTrip(t, test.sent).Decode(&read); err != nil || !reflect.DeepEqual(read, test.expected) {
			t.Errorf("%v came back as %#v, %v", test.sent, read, err)
		}
	}
}

func TestBytesAndPayloadsAreUndecoded(t *testing.T) {
	for _, sent := range []any{Text("text"), map[string]int{"a": 1}, []byte{1}} {
		payload := roundTrip(t, sent)
		var asBytes []byte
		var asPayload Payload
		if err := payload.Decode(&asBytes); err != nil || !bytes.Equal(asBytes, payload.Bytes()) {
			t.Error(asBytes, err)
		}
		if err := payload.Decode(&asPayload); err != nil || !reflect.DeepEqual(asPayload, payload) {
			t.Error(asPayload, err)
		}
	}
}

func TestTextIsDecodedAsTheRequestedType(t *testing.T) {
	var number int
	if err := roundTrip(t, Text("42")).Decode(&number); err != nil || number != 42 {
		t.Error(number, err)
	}
	type name string
	var text name
	if err := roundTrip(t, Text("42")).Decode(&text); err != nil || text != "42" {
		t.Error(text, err)
	}
}

func TestMismatchErrorDescribesTheContent(t *testing.T) {
	for content, why := range map[string]string{
		`{"width": "wide"}`: "width",
		`{"width": 1} 2`:    "unexpected data after the JSON",
		`{"width": 1`:       "is truncated",
		`neither`:           "invalid character",
	} {
		var target struct {
			Width int `json:"width"`
		}
		err := TextOf(content, contentTypeJSON).Decode(&target)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func TestJSONHasNoHTMLEscapes(t *testing.T) {
	payload, err := JSON("<a & b>")
	if err != nil {
		t.Fatal(err)
	}
	wire, err := payload.wire()
	if err != nil || wire.GetText() != `"<a & b>"` || wire.ContentType != "application/json" {
		t.Error(wire, err)
	}
}

func TestJSONFieldIsDecodedAsJSON(t *testing.T) {
	value := structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"n": structpb.NewNumberValue(5)}})
	payload := readPayload(&jobstreamv1.Payload{Body: &jobstreamv1.Payload_Json{Json: value}})
	if payload.Text() != `{"n":5}` || payload.ContentType() != "application/json" {
		t.Error(payload.Text(), payload.ContentType())
	}
}

func TestInvalidPayloadIsRejectedBeforeItIsSent(t *testing.T) {
	for _, payload := range []Payload{
		Text("\xff"), Data(nil, "kaputt\n"), Data(nil, strings.Repeat("x", contentTypeBytesMax+1)),
	} {
		if _, err := payload.wire(); err == nil {
			t.Errorf("%q, %q is sent", payload, payload.ContentType())
		}
	}
}

func TestPayloadIsReadable(t *testing.T) {
	long := strings.Repeat("ü", 150)
	for _, test := range []struct {
		payload Payload
		shown   string
	}{
		{Payload{}, ""},
		{Text("ready"), "ready"},
		{roundTrip(t, map[string]int{"a": 1}), `{"a":1}`},
		{Data([]byte(`{"a":1}`), "application/problem+json"), `{"a":1}`},
		{Data([]byte{0, 1}, "image/png"), "image/png, 2 bytes"},
		{Data([]byte("\xff"), contentTypeText), "text/plain; charset=utf-8, 1 bytes"},
		{Text(long), strings.Repeat("ü", 100) + "... (300 bytes)"},
	} {
		if shown := fmt.Sprint(test.payload); shown != test.shown {
			t.Errorf("%q instead of %q", shown, test.shown)
		}
	}
	if text := Text(long).Text(); text != long {
		t.Error(text)
	}
	if text := Data([]byte("a\xff"), "").Text(); text != "a\uFFFD" {
		t.Error(text)
	}
}
