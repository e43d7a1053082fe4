package jobstream_test

import (
	"context"
	"testing"
	"time"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

func TestThinPath(t *testing.T) {
	server := jobstreamtest.Server(t, "--demo=true")
	client := server.Client()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	job, err := jobstream.Submit[map[string]any](ctx, client, "demo.echo", map[string]any{"n": uint64(1)<<63 + 1, "h": "<a>"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := job.Result(ctx)
	t.Log(out, err)
	for e, err := range job.Watch(ctx) {
		t.Logf("%+v %v", e, err)
	}
	count, err := jobstream.Submit[any](ctx, client, "demo.count", map[string]any{"to": 3})
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range count.Watch(ctx) {
		t.Logf("%+v %v", e, err)
	}
	r, err := count.Result(ctx)
	t.Logf("%#v %v", r, err)
	s, err := client.Job("0190c0de-0000-7000-8000-000000000000").Result(ctx)
	t.Logf("%v %T %v", s, err, err)
}
