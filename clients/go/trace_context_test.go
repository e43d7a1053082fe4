package jobstream_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

func TestTraceContextReachesTheHandlerWithinItsLimits(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	client := jobstreamtest.Server(t).Client()
	worker := jobstream.NewWorker(client, "test")
	jobstream.Handle(worker, "traced", func(_ context.Context, task *jobstream.Task, _ any) (jobstream.TraceContext, error) {
		return task.TraceContext, nil
	})
	begin(t, worker)
	given := jobstream.TraceContext{Traceparent: parent, Tracestate: "vendor=1", Baggage: "tenant=acme"}
	large := jobstream.TraceContext{
		Traceparent: parent, Tracestate: "a=" + strings.Repeat("b", 511), Baggage: "c=" + strings.Repeat("d", 4095),
	}
	foreign := jobstream.TraceContext{Traceparent: parent, Baggage: "tenant=Käse"}
	only := jobstream.TraceContext{Traceparent: parent}
	for _, each := range []struct{ given, expected jobstream.TraceContext }{{given, given}, {}, {large, only}, {foreign, only}} {
		option := jobstream.WithTraceContext(each.given)
		got, err := jobstream.Run[jobstream.TraceContext](within(t), client, "traced", nil, option)
		if err != nil || got != each.expected {
			t.Error(got, err)
		}
	}
	malformed := jobstream.WithTraceContext(jobstream.TraceContext{Traceparent: "4bf92f3577b34da6"})
	if _, err := jobstream.Submit[any](within(t), client, "traced", nil, malformed); !errors.As(err, new(*jobstream.InvalidRequest)) {
		t.Error(err)
	}
}
