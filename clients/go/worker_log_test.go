package jobstream_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

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
	for kind, expected := range map[string]struct{ reason, errorType, message, stack string }{
		"fail":   {"HANDLER", "*errors.errorString", "no disk", ""},
		"panic":  {"PANIC", "", "the handler panicked: boom", "worker_log_test.go"},
		"large":  {"RESULT_TOO_LARGE", "", "result is 2097152 bytes", ""},
		"resize": {"BAD_PAYLOAD", "*json.SyntaxError", "the input does not fit", ""},
	} {
		job := submit[any](t, client, kind, jobstream.Text("a secret"))
		failed := logged.next(t, "attempt failed")
		facts := failed.facts
		if failed.level != slog.LevelWarn || facts["job_id"] != job.ID() || facts["kind"] != kind || facts["attempt"] != "1" ||
			facts["queue"] != "default" || facts["worker"] != "test" || facts["reason"] != expected.reason ||
			facts["error_type"] != expected.errorType || !strings.HasPrefix(facts["error"], expected.message) ||
			!strings.Contains(facts["stack"], expected.stack) {
			t.Error(failed)
		}
		for name, fact := range facts {
			if strings.Contains(fact, "secret") {
				t.Error(name, fact)
			}
		}
	}
}

func TestStreamOfFailuresIsLoggedAtALimitedRate(t *testing.T) {
	client, logged := jobstreamtest.Server(t).Client(), newRecorder()
	worker := jobstream.NewWorker(client, "test", jobstream.WithLogger(slog.New(logged)))
	jobstream.Handle(worker, "fail", func(context.Context, *jobstream.Task, any) (any, error) { return nil, errors.New("no disk") })
	begin(t, worker)
	const jobs = 40
	began := time.Now()
	for range jobs {
		failureOf(t, submit[any](t, client, "fail", nil))
	}
	worker.Stop()
	limit := 10 * (2 + int(time.Since(began).Seconds()))
	lines, leftOut := 0, 0
	for ctx := within(t); lines+leftOut < jobs; {
		select {
		case record := <-logged.records:
			switch record.message {
			case "attempt failed":
				lines++
			case "attempts failed, left out of the log":
				count, err := strconv.Atoi(record.facts["count"])
				if err != nil {
					t.Fatal(err)
				}
				leftOut += count
			}
		case <-ctx.Done():
			t.Fatal(lines, leftOut)
		}
	}
	if lines > limit || lines+leftOut != jobs {
		t.Error(lines, leftOut)
	}
}

func TestLeftOutFailuresAreCountedWhenTheirSecondIsOver(t *testing.T) {
	client, logged := jobstreamtest.Server(t).Client(), newRecorder()
	worker := jobstream.NewWorker(client, "test", jobstream.WithLogger(slog.New(logged)))
	jobstream.Handle(worker, "fail", func(context.Context, *jobstream.Task, any) (any, error) { return nil, errors.New("no disk") })
	begin(t, worker)
	for range 30 {
		failureOf(t, submit[any](t, client, "fail", nil))
	}
	if count := logged.next(t, "attempts failed, left out of the log"); count.level != slog.LevelWarn {
		t.Error(count)
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
