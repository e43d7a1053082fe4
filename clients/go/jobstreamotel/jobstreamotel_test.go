package jobstreamotel_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamotel"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

// span is a span that the receiver of traces printed.
type span struct {
	Name, Kind, TraceID, SpanID, ParentSpanID string
	Links                                     []struct{ TraceID, SpanID string }
	Attributes                                map[string]any
	Status                                    struct{ Code, Message string }
	StartTimeUnixNano, EndTimeUnixNano        uint64
	Error                                     string
}

// receiver is a process that receives traces and refuses those that break the published protocol.
type receiver struct {
	spans    chan span
	provider *sdk.TracerProvider
}

// newReceiver starts a receiver, and a provider with these options that exports each span to it when the span ends.
func newReceiver(t *testing.T, options ...sdk.TracerProviderOption) *receiver {
	t.Helper()
	command := exec.Command("../../../tests/otlp/run")
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = command.Wait() })
	lines := bufio.NewScanner(stdout)
	var addresses struct{ GRPC string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &addresses) != nil {
		t.Fatal("the receiver printed no address: ", lines.Text())
	}
	r := &receiver{spans: make(chan span, 100)}
	go func() {
		for lines.Scan() {
			var received span
			if err := json.Unmarshal(lines.Bytes(), &received); err != nil {
				received.Error = err.Error()
			}
			r.spans <- received
		}
	}()
	exporter, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpointURL(addresses.GRPC))
	if err != nil {
		t.Fatal(err)
	}
	service := resource.NewSchemaless(attribute.String("service.name", "tests"))
	options = append(options, sdk.WithSyncer(exporter), sdk.WithResource(service))
	r.provider = sdk.NewTracerProvider(options...)
	t.Cleanup(func() { _ = r.provider.Shutdown(context.Background()) })
	return r
}

// take returns this number of spans by their names; those of attempts with their number.
func (r *receiver) take(t *testing.T, count int) map[string]span {
	t.Helper()
	taken := map[string]span{}
	for range count {
		select {
		case received := <-r.spans:
			if received.Error != "" {
				t.Fatal(received.Error)
			}
			name := received.Name
			if attempt, isAttempt := received.Attributes["jobstream.job.attempt"]; isAttempt {
				name = fmt.Sprint(name, " ", attempt)
			}
			taken[name] = received
		case <-time.After(20 * time.Second):
			t.Fatalf("%d spans arrived: %v", len(taken), taken)
		}
	}
	return taken
}

func (r *receiver) client(server *jobstreamtest.TestServer) *jobstream.Client {
	traced := jobstreamotel.SubmitInterceptor(jobstreamotel.WithTracerProvider(r.provider))
	return server.Client(jobstream.WithSubmitInterceptors(traced))
}

// begin runs a worker with a handler of a kind until the test ends.
func begin(t *testing.T, r *receiver, client *jobstream.Client, kind string, handle func(context.Context, *jobstream.Task, string) (string, error)) {
	t.Helper()
	traced := jobstreamotel.HandlerInterceptor(jobstreamotel.WithTracerProvider(r.provider))
	worker := jobstream.NewWorker(client, "test", jobstream.WithHandlerInterceptors(traced))
	jobstream.Handle(worker, kind, handle)
	go func() { _ = worker.Run(context.Background()) }()
	t.Cleanup(worker.Stop)
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func equal(t *testing.T, what string, got, expected any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(expected) {
		t.Errorf("%s: %v, expected %v", what, got, expected)
	}
}

func TestSpansOfAJobWithTwoAttemptsArrive(t *testing.T) {
	r, server := newReceiver(t), jobstreamtest.Server(t)
	client := r.client(server)
	begin(t, r, client, "traced", func(ctx context.Context, task *jobstream.Task, _ string) (string, error) {
		if task.Attempt == 1 {
			return "", errors.New("not yet")
		}
		current := trace.SpanContextFromContext(ctx)
		return current.SpanID().String() + " " + baggage.FromContext(ctx).Member("tenant").Value(), nil
	})
	member, err := baggage.NewMember("tenant", "acme")
	if err != nil {
		t.Fatal(err)
	}
	carried, err := baggage.New(member)
	if err != nil {
		t.Fatal(err)
	}
	ctx, request := r.provider.Tracer("test").Start(baggage.ContextWithBaggage(within(t), carried), "request")
	job, err := jobstream.Submit[string](ctx, client, "traced", nil, jobstream.WithMaxAttempts(2),
		jobstream.WithInitialBackoff(10*time.Millisecond), jobstream.WithQueue("traced"))
	if err != nil {
		t.Fatal(err)
	}
	request.End()
	result, err := job.Result(ctx)
	if err != nil {
		t.Fatal(err)
	}
	spans := r.take(t, 6)
	submit, first, second := spans["submit traced"], spans["process traced 1"], spans["process traced 2"]
	facts := map[string]any{
		"messaging.system": "jobstream", "messaging.destination.name": "traced", "messaging.message.id": job.ID(),
		"jobstream.job.kind": "traced", "messaging.operation.name": "submit", "messaging.operation.type": "send",
	}
	equal(t, "submit", []string{submit.Kind, submit.TraceID, submit.ParentSpanID, submit.Status.Code},
		[]string{"PRODUCER", request.SpanContext().TraceID().String(), request.SpanContext().SpanID().String(), "UNSET"})
	equal(t, "submit", submit.Attributes, facts)
	facts["messaging.operation.name"], facts["messaging.operation.type"] = "process", "process"
	equal(t, "first attempt", []string{first.Kind, first.TraceID, first.ParentSpanID, first.Status.Code, first.Status.Message},
		[]string{"CONSUMER", submit.TraceID, submit.SpanID, "ERROR", "not yet"})
	failed := maps.Clone(facts)
	failed["jobstream.job.attempt"], failed["error.type"] = 1, "*errors.errorString"
	equal(t, "first attempt", first.Attributes, failed)
	facts["jobstream.job.attempt"] = 2
	equal(t, "second attempt", []string{second.Kind, second.ParentSpanID, second.Status.Code}, []string{"CONSUMER", "", "UNSET"})
	equal(t, "second attempt", second.Attributes, facts)
	if second.TraceID == submit.TraceID {
		t.Error("the second attempt is in the trace of the submit")
	}
	for attempt, process := range []span{first, second} {
		settle := spans[fmt.Sprint("settle traced ", attempt+1)]
		equal(t, "settle", []string{settle.Kind, settle.TraceID, settle.ParentSpanID, settle.Status.Code},
			[]string{"CLIENT", process.TraceID, process.SpanID, "UNSET"})
		facts["messaging.operation.name"], facts["messaging.operation.type"] = "settle", "settle"
		facts["jobstream.job.attempt"] = attempt + 1
		equal(t, "settle", settle.Attributes, facts)
		equal(t, "begin of settle", settle.StartTimeUnixNano, process.EndTimeUnixNano)
	}
	link := []struct{ TraceID, SpanID string }{{submit.TraceID, submit.SpanID}}
	equal(t, "link", first.Links, link)
	equal(t, "link", second.Links, link)
	equal(t, "result", result, second.SpanID+" acme")
}

func TestRunAndBatchesHaveASpanForEachJob(t *testing.T) {
	r, server := newReceiver(t), jobstreamtest.Server(t)
	client := r.client(server)
	begin(t, r, client, "ways", func(_ context.Context, task *jobstream.Task, _ string) (string, error) {
		return task.TraceContext.Traceparent, nil
	})
	parent, err := jobstream.Run[string](within(t), client, "ways", nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(parent string, spans map[string]span) {
		t.Helper()
		submit := spans["submit default"]
		if !strings.HasPrefix(parent, "00-"+submit.TraceID+"-"+submit.SpanID+"-") {
			t.Error(parent, submit)
		}
		equal(t, "parent", spans["process default 1"].ParentSpanID, submit.SpanID)
	}
	check(parent, r.take(t, 3))
	for _, result := range jobstream.SubmitAll[string](within(t), client, []jobstream.JobRequest{{Kind: "ways"}}) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		if parent, err = result.Job.Result(within(t)); err != nil {
			t.Fatal(err)
		}
		check(parent, r.take(t, 3))
	}
}

func TestRetryContinuesTheTraceOfItsCaller(t *testing.T) {
	r, server := newReceiver(t), jobstreamtest.Server(t)
	client := server.Client()
	begin(t, r, client, "retried", func(_ context.Context, task *jobstream.Task, _ string) (string, error) {
		return task.TraceContext.Traceparent, nil
	})
	job, err := jobstream.Submit[string](within(t), client, "retried", nil)
	if err != nil {
		t.Fatal(err)
	}
	if parent, err := job.Result(within(t)); parent != "" || err != nil {
		t.Fatal(parent, err)
	}
	ctx, request := r.provider.Tracer("test").Start(within(t), "request")
	again, err := jobstream.Retry[string](jobstreamotel.ContextForRetry(ctx), client, job.ID())
	if err != nil {
		t.Fatal(err)
	}
	parent, err := again.Result(within(t))
	position := request.SpanContext().TraceID().String() + "-" + request.SpanContext().SpanID().String()
	if !strings.HasPrefix(parent, "00-"+position) || err != nil {
		t.Error(parent, err)
	}
}

func TestFailuresHaveAnErrorTypeAndNoPayload(t *testing.T) {
	r, server := newReceiver(t), jobstreamtest.Server(t)
	begin(t, r, server.Client(), "panics", func(context.Context, *jobstream.Task, string) (string, error) { panic("boom") })
	begin(t, r, server.Client(), "typed", func(context.Context, *jobstream.Task, string) (string, error) { return "", nil })
	for kind, input := range map[string]any{"panics": "", "typed": jobstream.TextOf("secret", "application/json")} {
		if _, err := jobstream.Run[string](within(t), server.Client(), kind, input); !errors.As(err, new(*jobstream.JobFailed)) {
			t.Fatal(err)
		}
		failed := r.take(t, 2)["process default 1"]
		equal(t, kind, []any{failed.Attributes["error.type"], failed.Status.Code, len(failed.Links), failed.ParentSpanID},
			[]any{map[string]string{"panics": "PANIC", "typed": "BAD_PAYLOAD"}[kind], "ERROR", 0, ""})
		if strings.Contains(fmt.Sprint(failed), "secret") {
			t.Error(failed)
		}
	}
	client := r.client(server)
	if _, err := jobstream.Submit[any](within(t), client, "refused", nil, jobstream.WithQueue("no spaces")); err == nil {
		t.Fatal("the submit was accepted")
	}
	refused := r.take(t, 1)["submit no spaces"]
	equal(t, "refused", []any{refused.Attributes["error.type"], refused.Status.Code}, []string{"*jobstream.InvalidRequest", "ERROR"})
}

// startSleeping submits a job whose attempt runs until it is cancelled, and waits for the start of the attempt.
func startSleeping(t *testing.T, r *receiver) *jobstream.Job[string] {
	t.Helper()
	server, started := jobstreamtest.Server(t), make(chan struct{})
	begin(t, r, server.Client(), "sleeps", func(ctx context.Context, _ *jobstream.Task, _ string) (string, error) {
		close(started)
		<-ctx.Done()
		return "", ctx.Err()
	})
	job, err := jobstream.Submit[string](within(t), server.Client(), "sleeps", nil)
	if err != nil {
		t.Fatal(err)
	}
	<-started
	return job
}

func TestCancelledAttemptHasNoError(t *testing.T) {
	r := newReceiver(t)
	job := startSleeping(t, r)
	if _, err := job.Cancel(within(t), ""); err != nil {
		t.Fatal(err)
	}
	spans := r.take(t, 2)
	equal(t, "process", spans["process default 1"].Status.Code, "UNSET")
	equal(t, "settle", spans["settle default 1"].Status.Code, "UNSET")
}

func TestSettlementOfALostLeaseIsAnError(t *testing.T) {
	r := newReceiver(t)
	job := startSleeping(t, r)
	if _, err := job.Cancel(within(t), "", jobstream.WithGrace(0)); err != nil {
		t.Fatal(err)
	}
	settle := r.take(t, 2)["settle default 1"]
	equal(t, "settle", []any{settle.Status.Code, settle.Status.Message, settle.Attributes["error.type"]},
		[]string{"ERROR", jobstream.ErrLeaseLost.Error(), "LEASE_LOST"})
}

// sampler samples every span except one.
type sampler struct{ dropped string }

func (s sampler) Description() string { return "test" }

func (s sampler) ShouldSample(parameters sdk.SamplingParameters) sdk.SamplingResult {
	if parameters.Name == s.dropped {
		return sdk.NeverSample().ShouldSample(parameters)
	}
	return sdk.AlwaysSample().ShouldSample(parameters)
}

func TestAttemptThatIsNotSampledHasNoSettleSpan(t *testing.T) {
	r, server := newReceiver(t, sdk.WithSampler(sampler{"process dropped"})), jobstreamtest.Server(t)
	begin(t, r, server.Client(), "sampled", func(context.Context, *jobstream.Task, string) (string, error) { return "", nil })
	for _, queue := range []string{"dropped", "sampled"} {
		if _, err := jobstream.Run[string](within(t), server.Client(), "sampled", nil, jobstream.WithQueue(queue)); err != nil {
			t.Fatal(err)
		}
	}
	spans := r.take(t, 2)
	equal(t, "settle", spans["settle sampled 1"].ParentSpanID, spans["process sampled 1"].SpanID)
	equal(t, "dropped", spans["settle dropped 1"].Name, "")
}

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestGivenTraceContextIsTheParentOfTheSubmit(t *testing.T) {
	r, server := newReceiver(t), jobstreamtest.Server(t)
	given := jobstream.TraceContext{Traceparent: parent, Tracestate: "vendor=1", Baggage: "tenant=acme"}
	job, err := jobstream.Submit[any](within(t), r.client(server), "given", nil, jobstream.WithTraceContext(given))
	if err != nil {
		t.Fatal(err)
	}
	submit := r.take(t, 1)["submit default"]
	equal(t, "submit", []string{submit.TraceID, submit.ParentSpanID}, []string{"4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"})
	stored, err := server.Client().Get(within(t), job.ID())
	if err != nil {
		t.Fatal(err)
	}
	sent := stored.TraceContext
	equal(t, "sent", []string{sent.Traceparent, sent.Tracestate, sent.Baggage},
		[]string{"00-" + submit.TraceID + "-" + submit.SpanID + "-01", "vendor=1", "tenant=acme"})
}

func TestWithoutAProviderTheTraceContextIsPassedOn(t *testing.T) {
	server := jobstreamtest.Server(t)
	passing := jobstreamotel.SubmitInterceptor(jobstreamotel.WithTracerProvider(noop.NewTracerProvider()))
	client := server.Client(jobstream.WithSubmitInterceptors(passing))
	given := jobstream.TraceContext{Traceparent: parent, Tracestate: "vendor=1", Baggage: "tenant=acme"}
	for _, expected := range []jobstream.TraceContext{given, {}} {
		job, err := jobstream.Submit[any](within(t), client, "given", nil, jobstream.WithTraceContext(expected))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := client.Get(within(t), job.ID())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "sent", stored.TraceContext, expected)
	}
}
