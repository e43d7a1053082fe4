package io.github.jobstream;

import io.opentelemetry.api.OpenTelemetry;
import io.opentelemetry.api.baggage.propagation.W3CBaggagePropagator;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.Scope;
import io.opentelemetry.context.propagation.TextMapGetter;
import io.opentelemetry.context.propagation.TextMapPropagator;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Interceptors that make spans with OpenTelemetry. It needs the artifact {@code io.opentelemetry:opentelemetry-api}, which
 * the rest of this package does not.
 *
 * <pre>{@code
 * JobstreamTelemetry telemetry = JobstreamTelemetry.create(openTelemetry);
 * Client client = Client.connect(options -> options.interceptor(telemetry.submitInterceptor()));
 * Worker.builder(client).interceptor(telemetry.handlerInterceptor());
 * }</pre>
 */
public final class JobstreamTelemetry {
    /** The trace context of a job is always that of W3C. */
    private static final TextMapPropagator W3C =
            TextMapPropagator.composite(W3CTraceContextPropagator.getInstance(), W3CBaggagePropagator.getInstance());

    private static final String ATTEMPT = "jobstream.job.attempt";

    private final Tracer tracer;

    private JobstreamTelemetry(OpenTelemetry openTelemetry) {
        tracer = openTelemetry
                .getTracerProvider()
                .tracerBuilder("jobstream")
                .setInstrumentationVersion(Version.NUMBER)
                .build();
    }

    /** Makes spans with this OpenTelemetry, for example {@code GlobalOpenTelemetry.get()}. */
    public static JobstreamTelemetry create(OpenTelemetry openTelemetry) {
        return new JobstreamTelemetry(openTelemetry);
    }

    /** The current span and baggage, for {@link Client#retry(String, Class, TraceContext)}. Empty if there is neither. */
    public static Optional<TraceContext> currentTraceContext() {
        return injected(Context.current());
    }

    /**
     * Makes a PRODUCER span {@code submit QUEUE} for each submit, with the current span as its parent. Its context and the
     * baggage go with the job. The span of a job of a batch ends before the job is sent.
     */
    public SubmitInterceptor submitInterceptor() {
        return (job, next) -> {
            Context parent = job.traceContext()
                    .map(given -> extracted(given, Context.current()))
                    .orElseGet(Context::current);
            Span span = tracer.spanBuilder("submit " + job.queue())
                    .setParent(parent)
                    .setSpanKind(SpanKind.PRODUCER)
                    .setAllAttributes(attributes("submit", "send", job.queue(), job.jobId(), job.kind()))
                    .startSpan();
            Context inner = parent.with(span);
            try (Scope current = inner.makeCurrent()) {
                return next.submit(injected(inner).map(job::withTraceContext).orElse(job));
            } catch (RuntimeException | Error error) {
                fail(span, error);
                throw error;
            } finally {
                span.end();
            }
        };
    }

    /**
     * Makes a CONSUMER span {@code process QUEUE} for each attempt, with a link to the submit, which is the current span in
     * the handler. The first attempt is a child of the submit. Each later one begins a new trace, because a trace that lasts
     * for hours is of little use.
     *
     * <p>Each of these spans that is recorded has a child {@code settle QUEUE} (CLIENT), from its end until {@link
     * JobContext#onSettled}.
     */
    public HandlerInterceptor handlerInterceptor() {
        return (context, next) -> {
            Span span = started(context);
            Context processing = submitterOf(context).with(span);
            try (Scope current = processing.makeCurrent()) {
                return next.run(context.payload());
            } catch (Throwable error) {
                // An exception after a cancellation does not count as a failure.
                if (!context.isCancelled() || error instanceof Error) {
                    fail(span, error);
                }
                throw error;
            } finally {
                boolean isRecorded = span.isRecording();
                span.end();
                if (isRecorded) {
                    settle(context, processing);
                }
            }
        };
    }

    /** Starts the span {@code settle QUEUE} as a child of the span of the attempt. It ends once the attempt is settled. */
    private void settle(JobContext context, Context processing) {
        Span span = tracer.spanBuilder("settle " + context.queue())
                .setParent(processing)
                .setSpanKind(SpanKind.CLIENT)
                .setAllAttributes(attributes("settle", "settle", context.queue(), context.jobId(), context.kind()))
                .setAttribute(ATTEMPT, context.attempt())
                .startSpan();
        context.onSettled(outcome -> {
            outcome.ifPresent(error -> {
                String type = error.reason().isEmpty() ? FinalReports.errorType(error) : error.reason();
                span.setAttribute("error.type", type);
                span.setStatus(StatusCode.ERROR, error.getMessage());
            });
            span.end();
        });
    }

    private Span started(JobContext context) {
        Context submitter = submitterOf(context);
        SpanContext submit = Span.fromContext(submitter).getSpanContext();
        var builder = tracer.spanBuilder("process " + context.queue())
                .setParent(context.attempt() == 1 ? submitter : submitter.with(Span.getInvalid()))
                .setSpanKind(SpanKind.CONSUMER)
                .setAllAttributes(attributes("process", "process", context.queue(), context.jobId(), context.kind()))
                .setAttribute(ATTEMPT, context.attempt());
        if (submit.isValid()) {
            builder.addLink(submit);
        }
        return builder.startSpan();
    }

    private static Context submitterOf(JobContext context) {
        return context.traceContext()
                .map(given -> extracted(given, Context.root()))
                .orElse(Context.root());
    }

    /** The attributes of the semantic conventions for messaging, and those of jobs. */
    private static Attributes attributes(String name, String operation, String queue, String jobId, String kind) {
        return Attributes.builder()
                .put("messaging.system", "jobstream")
                .put("messaging.destination.name", queue)
                .put("messaging.operation.name", name)
                .put("messaging.operation.type", operation)
                .put("messaging.message.id", jobId)
                .put("jobstream.job.kind", kind)
                .build();
    }

    private static void fail(Span span, Throwable error) {
        span.setAttribute("error.type", FinalReports.errorType(error));
        if (error instanceof FinalReports.BadInput) {
            // Its message may quote the input.
            span.setStatus(StatusCode.ERROR);
            return;
        }
        span.setStatus(StatusCode.ERROR, FinalReports.messageOf(error));
        span.recordException(error);
    }

    /** The context with the span and the baggage of a submitter. */
    private static Context extracted(TraceContext given, Context base) {
        Map<String, String> carrier = Map.of(
                "traceparent", given.traceparent(), "tracestate", given.tracestate(), "baggage", given.baggage());
        return W3C.extract(base, carrier, Getter.INSTANCE);
    }

    /** The span and the baggage of a context; empty if it has neither. */
    private static Optional<TraceContext> injected(Context context) {
        Map<String, String> carrier = new HashMap<>();
        W3C.inject(context, carrier, Map::put);
        return carrier.isEmpty()
                ? Optional.empty()
                : Optional.of(new TraceContext(
                        carrier.getOrDefault("traceparent", ""),
                        carrier.getOrDefault("tracestate", ""),
                        carrier.getOrDefault("baggage", "")));
    }

    private enum Getter implements TextMapGetter<Map<String, String>> {
        INSTANCE;

        @Override
        @SuppressWarnings("deprecation") // Older versions of OpenTelemetry require it.
        public Iterable<String> keys(Map<String, String> carrier) {
            return carrier.keySet();
        }

        @Override
        public String get(Map<String, String> carrier, String key) {
            return carrier.get(key);
        }
    }
}
