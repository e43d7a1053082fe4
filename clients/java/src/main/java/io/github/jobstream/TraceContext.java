package io.github.jobstream;

import io.grpc.Metadata;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * W3C Trace Context of the submitter of a job. A part that is empty is not set.
 *
 * @param traceparent the trace, the span and the flags: 55 characters, such as {@code
 *     00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01}
 * @param tracestate the state of tracing systems; left out of a submit if it is over 512 bytes
 * @param baggage names and values that every service on the way may read; left out of a submit if it is over 4 KiB
 */
public record TraceContext(String traceparent, String tracestate, String baggage) {
    /** Printable ASCII up to the limits of the server. */
    private static final Pattern TRACESTATE = Pattern.compile("[\\x20-\\x7e]{0,512}");

    private static final Pattern BAGGAGE = Pattern.compile("[\\x20-\\x7e]{0,4096}");

    public TraceContext {
        Objects.requireNonNull(traceparent, "traceparent");
        Objects.requireNonNull(tracestate, "tracestate");
        Objects.requireNonNull(baggage, "baggage");
    }

    /** A trace context without tracestate and baggage. */
    public static TraceContext of(String traceparent) {
        return new TraceContext(traceparent, "", "");
    }

    static Optional<TraceContext> read(io.github.jobstream.v1.TraceContext message) {
        return message.getTraceparent().isEmpty() && message.getBaggage().isEmpty()
                ? Optional.empty()
                : Optional.of(
                        new TraceContext(message.getTraceparent(), message.getTracestate(), message.getBaggage()));
    }

    /** The headers of a call with this trace context, without the parts that are too large. */
    Metadata headers() {
        Metadata headers = new Metadata();
        message()
                .getAllFields()
                .forEach((field, value) ->
                        headers.put(CallHeaders.key(field.getName(), value.toString()), value.toString()));
        return headers;
    }

    /** The message of the generated stubs, without the parts that are too large. */
    io.github.jobstream.v1.TraceContext message() {
        return io.github.jobstream.v1.TraceContext.newBuilder()
                .setTraceparent(traceparent)
                .setTracestate(TRACESTATE.matcher(tracestate).matches() ? tracestate : "")
                .setBaggage(BAGGAGE.matcher(baggage).matches() ? baggage : "")
                .build();
    }
}
