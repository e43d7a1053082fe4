package io.github.jobstream.conformance;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.github.jobstream.JobRequest;
import io.github.jobstream.SubmitOptions;
import io.github.jobstream.TraceContext;
import java.util.Optional;

/** Converts the fields of a submit. */
final class SubmitFields {
    private SubmitFields() {}

    static Object input(JsonNode fields) throws JsonProcessingException {
        return Values.input(fields.required("payload"));
    }

    static JobRequest request(JsonNode fields) throws JsonProcessingException {
        return JobRequest.of(fields.required("kind").textValue(), input(fields), options -> fill(options, fields));
    }

    private static TraceContext traceContext(JsonNode trace) {
        return new TraceContext(
                trace.path("traceparent").asText(""),
                trace.path("tracestate").asText(""),
                trace.path("baggage").asText(""));
    }

    static void fill(SubmitOptions options, JsonNode fields) {
        Optional.ofNullable(fields.get("job_id")).ifPresent(jobId -> options.jobId(jobId.textValue()));
        Optional.ofNullable(fields.get("queue")).ifPresent(queue -> options.queue(queue.textValue()));
        Optional.ofNullable(fields.get("priority")).ifPresent(priority -> options.priority(priority.intValue()));
        Optional.ofNullable(fields.get("max_attempts")).ifPresent(attempts -> options.maxAttempts(attempts.intValue()));
        Values.duration(fields, "initial_backoff").ifPresent(options::initialBackoff);
        Values.duration(fields, "delay").ifPresent(options::delay);
        Values.duration(fields, "timeout").ifPresent(options::timeout);
        Values.duration(fields, "attempt_timeout").ifPresent(options::attemptTimeout);
        Values.duration(fields, "retention").ifPresent(options::retention);
        options.labels(Values.strings(fields.path("labels")));
        options.headers(Values.strings(fields.path("headers")));
        Optional.ofNullable(fields.get("trace_context")).ifPresent(trace -> options.traceContext(traceContext(trace)));
    }
}
