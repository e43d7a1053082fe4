package jobstream

import (
	"strings"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	tracestateBytesMax = 512
	baggageBytesMax    = 4 << 10
)

// TraceContext is W3C Trace Context and Baggage of the submitter of a job. The zero value is empty.
type TraceContext struct {
	// Traceparent has the trace, the span and the flags: 55 characters, such as
	// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.
	Traceparent string
	// Tracestate is the state of tracing systems. It is left out if it is longer than 512 bytes.
	Tracestate string
	// Baggage has names and values that every service on the way may read. It is left out if it is longer than 4 KiB.
	Baggage string
}

// WithTraceContext sets the trace of the submitter, for the handler. Package jobstreamotel sets that of OpenTelemetry. The
// submit is an [InvalidRequest] if Traceparent is malformed.
func WithTraceContext(trace TraceContext) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) {
		spec.TraceContext = &jobstreamv1.TraceContext{
			Traceparent: trace.Traceparent,
			Tracestate:  within(trace.Tracestate, tracestateBytesMax),
			Baggage:     within(trace.Baggage, baggageBytesMax),
		}
	}
}

// within returns a text of printable ASCII within its limit, else none.
func within(text string, bytesMax int) string {
	isRefused := func(r rune) bool { return r < ' ' || r > '~' }
	if len(text) > bytesMax || strings.ContainsFunc(text, isRefused) {
		return ""
	}
	return text
}

func readTraceContext(wire *jobstreamv1.TraceContext) TraceContext {
	return TraceContext{wire.GetTraceparent(), wire.GetTracestate(), wire.GetBaggage()}
}
