package jobstream

import (
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Content types of a Payload that names none.
const (
	contentTypeJSON = "application/json"
	contentTypeText = "text/plain; charset=utf-8"
	contentTypeData = "application/octet-stream"

	contentTypeBytesMax = 128
)

// Payload is the input of a job, its result or a chunk of output: content and what it is. The zero value is empty.
//
// Passed to [Submit], or returned by a handler, it is sent as it is; asked for as the type of a result or an input, it is
// what was sent. The server's limit is 1 MiB unless it was set otherwise.
type Payload struct {
	content     []byte
	contentType string
	isText      bool
}

// Text is plain text. It must be UTF-8: anything else is refused when it is sent.
func Text(text string) Payload {
	return Payload{content: []byte(text), contentType: contentTypeText, isText: true}
}

// TextOf is text of another content type, such as text/csv; at most 128 bytes of printable ASCII.
func TextOf(text, contentType string) Payload {
	return Payload{content: []byte(text), contentType: contentType, isText: true}
}

// Data is bytes of any content type, such as image/png; at most 128 bytes of printable ASCII. An empty type is
// application/octet-stream. The bytes are not copied.
func Data(data []byte, contentType string) Payload {
	if contentType == "" {
		contentType = contentTypeData
	}
	return Payload{content: data, contentType: contentType}
}

// Bytes is the content, which is not to be changed.
func (p Payload) Bytes() []byte { return p.content }

// String is the content as text.
func (p Payload) String() string { return string(p.content) }

// ContentType is the MIME type of the content; empty for an empty Payload.
func (p Payload) ContentType() string { return p.contentType }

// Decode reads the content into what target points to, as [Job.Result] does.
func (p Payload) Decode(target any) error { return decode(p, target) }

// JSON is a value as JSON text.
//
// The error is that of [encoding/json.Marshal].
func JSON(value any) (Payload, error) {
	text, err := marshal(value)
	if err != nil {
		return Payload{}, err
	}
	return TextOf(string(text), contentTypeJSON), nil
}

func (p Payload) mediaType() string {
	mediaType, _, err := mime.ParseMediaType(p.contentType)
	if err != nil {
		return p.contentType
	}
	return mediaType
}

func (p Payload) wire() (*jobstreamv1.Payload, error) {
	wire := &jobstreamv1.Payload{ContentType: p.contentType}
	switch {
	case !isContentType(p.contentType):
		return nil, fmt.Errorf("the content type %.200q is not at most %d bytes of printable ASCII", p.contentType, contentTypeBytesMax)
	case p.isText && !utf8.Valid(p.content):
		return nil, fmt.Errorf("the text of %d bytes is not UTF-8: send it with jobstream.Data", len(p.content))
	case p.isText:
		wire.Body = &jobstreamv1.Payload_Text{Text: string(p.content)}
	case p.content != nil:
		wire.Body = &jobstreamv1.Payload_Data{Data: p.content}
	}
	return wire, nil
}

func isContentType(text string) bool {
	isPrintable := func(r rune) bool { return r >= ' ' && r <= '~' }
	return len(text) <= contentTypeBytesMax && strings.IndexFunc(text, func(r rune) bool { return !isPrintable(r) }) < 0
}

func readPayload(wire *jobstreamv1.Payload) Payload {
	p := Payload{contentType: wire.GetContentType()}
	unnamed := ""
	switch body := wire.GetBody().(type) {
	case *jobstreamv1.Payload_Text:
		p.content, p.isText, unnamed = []byte(body.Text), true, contentTypeText
	case *jobstreamv1.Payload_Data:
		p.content, unnamed = body.Data, contentTypeData
	case *jobstreamv1.Payload_Json:
		// Only numbers that JSON does not know fail; the server sends none.
		p.content, _ = marshal(plainValue(body.Json))
		p.isText, unnamed = true, contentTypeJSON
	}
	if p.contentType == "" {
		p.contentType = unnamed
	}
	return p
}
