package jobstream_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

// record is a log record of a worker.
type record struct {
	level   slog.Level
	message string
	facts   map[string]string
}

// recorder is a log handler that sends every record to a channel.
type recorder struct {
	records chan record
	bound   []slog.Attr
}

func newRecorder() *recorder { return &recorder{records: make(chan record, 100)} }

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &recorder{r.records, append(r.bound, attrs...)}
}

func (r *recorder) Handle(_ context.Context, logged slog.Record) error {
	facts := map[string]string{}
	add := func(attr slog.Attr) bool {
		facts[attr.Key] = attr.Value.String()
		return true
	}
	for _, attr := range r.bound {
		add(attr)
	}
	logged.Attrs(add)
	r.records <- record{logged.Level, logged.Message, facts}
	return nil
}

// next returns the next record with this message.
func (r *recorder) next(t *testing.T, message string) record {
	t.Helper()
	for ctx := within(t); ; {
		select {
		case logged := <-r.records:
			if logged.message == message {
				return logged
			}
		case <-ctx.Done():
			t.Fatalf("%q was not logged", message)
		}
	}
}

func TestWorkerLogsEachFailedAttemptWithoutThePayload(t *testing.T) {
	client, logged := jobstreamtest.Server(t).Client(), newRecorder()
	worker := jobstream.NewWorker(client, "test", jobstream.WithLogger(slog.New(logged)))
	jobstream.Handle(worker, "fail", func(context.Context, *jobstream.Task, any) (any, error) { return nil, errors.New("no disk") })
	jobstream.Handle(worker, "panic", func(context.Context, *jobstream.Task, any) (any, error) { panic("boom") })
	jobstream.Handle(worker, "large", func(context.Context, *jobstream.Task, any) ([]byte, error) { return make([]byte, 2<<20), nil })
	jobstream.Handle(worker, "resize", func(context.Context, *jobstream.Task, resize) (any, error) { return nil, nil })
	begin(t, worker)
	for kind, expected := range map[string]struct{ reason, message string }{
		"fail":   {"HANDLER", "no disk"},
		"panic":  {"PANIC", "the handler panicked: boom"},
		"large":  {"RESULT_TOO_LARGE", "result is 2097152 bytes"},
		"resize": {"BAD_PAYLOAD", "the input does not fit"},
	} {
		job := submit[any](t, client, kind, jobstream.Text("a secret"))
		failed := logged.next(t, "jobstream attempt failed")
		facts := failed.facts
		if failed.level != slog.LevelWarn || facts["job_id"] != job.ID() || facts["kind"] != kind || facts["attempt"] != "1" ||
			facts["worker"] != "test" || facts["reason"] != expected.reason || !strings.HasPrefix(facts["error"], expected.message) {
			t.Error(failed)
		}
		for name, fact := range facts {
			if strings.Contains(fact, "secret") {
				t.Error(name, fact)
			}
		}
	}
}

func TestWorkerLogsItsConnectionsAndItsDrain(t *testing.T) {
	server, logged := jobstreamtest.Server(t), newRecorder()
	broken := newProxy(t, server.Address)
	client, err := jobstream.New(broken.address())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	worker := jobstream.NewWorker(client, "test", jobstream.WithLogger(slog.New(logged)))
	jobstream.Handle(worker, "hold", newHeld().handle)
	begin(t, worker)
	if connected := logged.next(t, "jobstream worker connected"); connected.facts["server"] != client.Address() {
		t.Error(connected)
	}
	broken.cut()
	lost := logged.next(t, "jobstream worker lost the connection")
	if lost.level != slog.LevelWarn || !strings.Contains(lost.facts["error"], client.Address()) {
		t.Error(lost)
	}
	logged.next(t, "jobstream worker connected")
	worker.Stop()
	if drained := logged.next(t, "jobstream worker drained"); drained.facts["worker"] != "test" {
		t.Error(drained)
	}
}
