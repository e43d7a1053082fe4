package jobstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"
)

// encode converts an input or a result: a Payload is unchanged, bytes are data, any other value is encoded as JSON.
func encode(value any) (Payload, error) {
	switch value := value.(type) {
	case Payload:
		return value, nil
	case *Payload:
		if value == nil {
			return Payload{}, nil
		}
		return *value, nil
	case []byte:
		return Data(value, ""), nil
	default:
		return JSON(value)
	}
}

// marshal is json.Marshal without HTML escapes.
func marshal(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// decode decodes a payload. A string target takes plain text, a []byte target the bytes. An any target is decoded by
// content type. Any other target is decoded as JSON; empty content is null.
func decode(p Payload, target any) error {
	isJSON := p.mediaType() == contentTypeJSON
	isText := p.isText && p.mediaType() == "text/plain"
	switch target := target.(type) {
	case *Payload:
		*target = p
		return nil
	case *[]byte:
		*target = p.content
		return nil
	case *any:
		switch {
		case isText:
			*target = string(p.content)
			return nil
		case !isJSON && p.contentType != "":
			*target = p.content
			return nil
		}
	}
	if value := reflect.ValueOf(target).Elem(); isText && value.Kind() == reflect.String {
		value.SetString(string(p.content))
		return nil
	}
	if err := unmarshal(p.content, target); err != nil {
		return fmt.Errorf("%w (content type %q)", err, p.contentType)
	}
	return nil
}

// exactIntegerMax is the largest whole number of the json field that is decoded as an integer; a larger one is a float.
const exactIntegerMax = 1 << 64

// jsonValue is a value for marshal. Package json would fill a whole number with zeros after its seventeenth digit, which
// is the same double but another integer.
func jsonValue(value *structpb.Value) any {
	switch kind := value.GetKind().(type) {
	case *structpb.Value_NumberValue:
		if number := kind.NumberValue; number == math.Trunc(number) && math.Abs(number) <= exactIntegerMax {
			return json.Number(strconv.FormatFloat(number, 'f', 0, 64))
		}
		return kind.NumberValue
	case *structpb.Value_StructValue:
		fields := make(map[string]any, len(kind.StructValue.GetFields()))
		for name, field := range kind.StructValue.GetFields() {
			fields[name] = jsonValue(field)
		}
		return fields
	case *structpb.Value_ListValue:
		items := make([]any, len(kind.ListValue.GetValues()))
		for i, item := range kind.ListValue.GetValues() {
			items[i] = jsonValue(item)
		}
		return items
	default:
		return value.AsInterface()
	}
}

// unmarshal is json.Unmarshal with exact numbers in values of type any.
func unmarshal(text []byte, target any) error {
	if len(text) == 0 {
		text = []byte("null")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(target); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return errors.New("the JSON is truncated")
		}
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("unexpected data after the JSON value at byte %d", decoder.InputOffset())
	}
	return nil
}
