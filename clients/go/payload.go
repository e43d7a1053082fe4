package jobstream

import (
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Default content types of a Payload.
const (
	contentTypeJSON = "application/json"
	contentTypeText = "text/plain; charset=utf-8"
	contentTypeData = "application/octet-stream"

	contentTypeBytesMax = 128
	// shownBytesMax is the largest part of the content that String returns.
	shownBytesMax = 200
)

// Payload is an input, a result or a chunk of output: content with a content type. The zero value is empty.
//
// A Payload passed to [Submit] or returned by a handler is sent unchanged. As the type of a result or an input it takes
// the content undecoded. The default limit of the server is 1 MiB.
type Payload struct {
	content     []byte
	contentType string
	isText      bool
}

// Text returns a payload of plain text. It must be UTF-8; other text is rejected when it is sent.
func Text(text string) Payload {
	return Payload{content: []byte(text), contentType: contentTypeText, isText: true}
}

// TextOf returns a payload of text with another content type, such as text/csv; at most 128 bytes of printable ASCII.
func TextOf(text, contentType string) Payload {
	return Payload{content: []byte(text), contentType: contentType, isText: true}
}

// Data returns a payload of bytes with any content type, such as image/png; at most 128 bytes of printable ASCII. An
// empty type is application/octet-stream. The bytes are not copied.
func Data(data []byte, contentType string) Payload {
	if contentType == "" {
		contentType = contentTypeData
	}
	return Payload{content: data, contentType: contentType}
}

// Bytes returns the content. It must not be modified.
func (p Payload) Bytes() []byte { return p.content }

// Text returns the whole content as text. Bytes that are not UTF-8 are replaced.
func (p Payload) Text() string { return strings.ToValidUTF8(string(p.content), "\uFFFD") }

// Decode decodes JSON into target, a pointer. Text and bytes are decoded as [Job.Result] does.
func (p Payload) Decode(target any) error { return decode(p, target) }

// ContentType returns the MIME type; empty for an empty Payload.
func (p Payload) ContentType() string { return p.contentType }

// String describes the payload for people: text and JSON, shortened to 200 bytes, else the content type and the size.
func (p Payload) String() string {
	switch {
	case len(p.content) == 0 && p.contentType == "":
		return ""
	case !p.isReadable():
		return fmt.Sprintf("%s, %d bytes", p.contentType, len(p.content))
	case len(p.content) > shownBytesMax:
		return fmt.Sprintf("%s... (%d bytes)", truncate(string(p.content), shownBytesMax), len(p.content))
	default:
		return string(p.content)
	}
}

// isReadable reports whether the content is text or JSON.
func (p Payload) isReadable() bool {
	mediaType := p.mediaType()
	isText := strings.HasPrefix(mediaType, "text/") || mediaType == contentTypeJSON || strings.HasSuffix(mediaType, "+json")
	return isText && utf8.Valid(p.content)
}

// JSON encodes a value as JSON.
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
		return nil, fmt.Errorf("content type %.200q is not printable ASCII of at most %d bytes", p.contentType, contentTypeBytesMax)
	case p.isText && !utf8.Valid(p.content):
		return nil, fmt.Errorf("text of %d bytes is not UTF-8: send it with jobstream.Data", len(p.content))
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
	defaultType := ""
	switch body := wire.GetBody().(type) {
	case *jobstreamv1.Payload_Text:
		p.content, p.isText, defaultType = []byte(body.Text), true, contentTypeText
	case *jobstreamv1.Payload_Data:
		p.content, defaultType = body.Data, contentTypeData
	case *jobstreamv1.Payload_Json:
		// Only NaN and infinite numbers fail. The server sends none.
		p.content, _ = marshal(jsonValue(body.Json))
		p.isText, defaultType = true, contentTypeJSON
	}
	if p.contentType == "" {
		p.contentType = defaultType
	}
	return p
}
