// Package jobstreamotel traces jobs with OpenTelemetry, from the submit to the attempts. It is a module of its own, so that
// the client does not need OpenTelemetry.
//
//	client, err := jobstream.New("", jobstream.WithSubmitInterceptors(jobstreamotel.SubmitInterceptor()))
//	worker := jobstream.NewWorker(client, "w", jobstream.WithHandlerInterceptors(jobstreamotel.HandlerInterceptor()))
//
// Each submit is a span "submit QUEUE" of kind PRODUCER, whose context goes with the job. Each attempt is a span "process
// QUEUE" of kind CONSUMER with a link to it. The first attempt continues the trace of its submit. Each later one begins a
// new trace, because a trace that lasts for hours is of little use. The time from the end of a handler until the server
// has the final report of the attempt is a span "settle QUEUE" of kind CLIENT, a child of that of the attempt.
package jobstreamotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/jobstream/jobstream/clients/go"
)

const scope = "github.com/jobstream/jobstream/clients/go/jobstreamotel"

// w3c is the format of the trace context of a job.
var w3c = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

type settings struct{ provider trace.TracerProvider }

// Option is an option of an interceptor.
type Option func(*settings)

// WithTracerProvider sets the provider that makes the spans. Default: the global one.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(s *settings) { s.provider = provider }
}

func tracerOf(options []Option) trace.Tracer {
	chosen := settings{provider: otel.GetTracerProvider()}
	for _, option := range options {
		option(&chosen)
	}
	return chosen.provider.Tracer(scope)
}

// SubmitInterceptor makes the span of each submit and sends its context with the job. A trace context that the job has
// already is the parent. Without a provider the trace of the caller is passed on.
func SubmitInterceptor(options ...Option) jobstream.SubmitInterceptor {
	tracer := tracerOf(options)
	return func(ctx context.Context, spec *jobstream.JobSpec, next jobstream.SubmitNext) (*jobstream.Submitted, error) {
		ctx = w3c.Extract(ctx, carrierOf(spec.TraceContext()))
		ctx, span := tracer.Start(ctx, "submit "+spec.Queue(), trace.WithSpanKind(trace.SpanKindProducer),
			trace.WithAttributes(attributesOf("submit", "send", spec.Queue(), spec.JobID(), spec.Kind())...))
		defer span.End()
		injected := propagation.MapCarrier{}
		w3c.Inject(ctx, injected)
		if len(injected) > 0 {
			spec.Apply(jobstream.WithTraceContext(jobstream.TraceContext{
				Traceparent: injected["traceparent"], Tracestate: injected["tracestate"], Baggage: injected["baggage"],
			}))
		}
		submitted, err := next(ctx, spec)
		if err != nil {
			fail(span, jobstream.ErrorType(err), err.Error())
			span.RecordError(err)
		}
		return submitted, err
	}
}

// ContextForRetry returns a context for [jobstream.Retry], whose job has the current span as its submitter.
func ContextForRetry(ctx context.Context) context.Context {
	injected := propagation.MapCarrier{}
	w3c.Inject(ctx, injected)
	for name, value := range injected {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	return ctx
}

// HandlerInterceptor makes the span of each attempt. It is the current span of the handler's context, which has the baggage
// of the submitter too. A result that is over the payload limit fails the attempt after the span has ended. If that span is
// recorded, the settlement of the attempt, see [jobstream.Task.OnSettled], is a span too.
func HandlerInterceptor(options ...Option) jobstream.HandlerInterceptor {
	tracer := tracerOf(options)
	return func(ctx context.Context, task *jobstream.Task, next jobstream.HandlerNext) (jobstream.Payload, error) {
		ctx, span := startProcess(ctx, tracer, task)
		var ended time.Time
		if span.IsRecording() {
			task.OnSettled(func(err error) { recordSettle(ctx, tracer, task, ended, err) })
		}
		defer func() {
			ended = time.Now()
			span.End(trace.WithTimestamp(ended))
		}()
		hasReturned := false
		defer func() {
			if !hasReturned {
				fail(span, "PANIC", "the handler panicked or ended its goroutine")
			}
		}()
		result, err := next(ctx, task)
		hasReturned = true
		recordFailure(ctx, span, err)
		return result, err
	}
}

func startProcess(ctx context.Context, tracer trace.Tracer, task *jobstream.Task) (context.Context, trace.Span) {
	submitter := w3c.Extract(context.Background(), carrierOf(task.TraceContext))
	submit := trace.SpanContextFromContext(submitter)
	ctx = baggage.ContextWithBaggage(ctx, baggage.FromContext(submitter))
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attributesOfAttempt("process", task)...),
	}
	if submit.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: submit}))
	}
	if task.Attempt == 1 {
		ctx = trace.ContextWithRemoteSpanContext(ctx, submit)
	} else {
		options = append(options, trace.WithNewRoot())
	}
	return tracer.Start(ctx, "process "+task.Queue, options...)
}

// recordSettle makes the span from the end of the process span, the current one of the context, until now.
func recordSettle(ctx context.Context, tracer trace.Tracer, task *jobstream.Task, began time.Time, err error) {
	_, span := tracer.Start(ctx, "settle "+task.Queue, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(began), trace.WithAttributes(attributesOfAttempt("settle", task)...))
	defer span.End()
	if err != nil {
		fail(span, settleErrorType(err), err.Error())
	}
}

func settleErrorType(err error) string {
	var base *jobstream.Error
	if errors.As(err, &base) && base.Reason != "" {
		return base.Reason
	}
	return jobstream.ErrorType(err)
}

// recordFailure records the error of an attempt, unless the attempt was stopped from outside.
func recordFailure(ctx context.Context, span trace.Span, err error) {
	switch cause := context.Cause(ctx); {
	case err == nil, cause == jobstream.ErrCancelled, cause == jobstream.ErrLeaseLost, cause == jobstream.ErrDraining:
	case cause == context.DeadlineExceeded:
		fail(span, "ATTEMPT_TIMEOUT", "the attempt timed out")
	case errors.Is(err, jobstream.ErrBadPayload):
		// The text of the error may quote the payload.
		fail(span, "BAD_PAYLOAD", jobstream.ErrBadPayload.Error())
	default:
		fail(span, jobstream.ErrorType(err), err.Error())
		span.RecordError(err)
	}
}

func fail(span trace.Span, errorType, message string) {
	span.SetAttributes(attribute.String("error.type", errorType))
	span.SetStatus(codes.Error, message)
}

func attributesOfAttempt(operation string, task *jobstream.Task) []attribute.KeyValue {
	attributes := attributesOf(operation, operation, task.Queue, task.JobID, task.Kind)
	return append(attributes, attribute.Int("jobstream.job.attempt", task.Attempt))
}

// attributesOf returns the attributes of the semantic conventions for messaging, and those of jobs.
func attributesOf(name, operation, queue, jobID, kind string) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "jobstream"),
		attribute.String("messaging.destination.name", queue),
		attribute.String("messaging.operation.name", name),
		attribute.String("messaging.operation.type", operation),
		attribute.String("messaging.message.id", jobID),
		attribute.String("jobstream.job.kind", kind),
	}
}

// carrierOf returns the headers of a trace context.
func carrierOf(context jobstream.TraceContext) propagation.MapCarrier {
	carrier := propagation.MapCarrier{}
	for name, value := range map[string]string{
		"traceparent": context.Traceparent, "tracestate": context.Tracestate, "baggage": context.Baggage,
	} {
		if value != "" {
			carrier[name] = value
		}
	}
	return carrier
}
