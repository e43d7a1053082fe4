package io.github.jobstream.conformance;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jobstream.DeadlineExceededException;
import io.github.jobstream.Failure;
import io.github.jobstream.IllegalJobStateException;
import io.github.jobstream.InvalidRequestException;
import io.github.jobstream.JobCancelledException;
import io.github.jobstream.JobFailedException;
import io.github.jobstream.JobIdReusedException;
import io.github.jobstream.JobNotFoundException;
import io.github.jobstream.JobstreamException;
import io.github.jobstream.NotFinishedException;
import io.github.jobstream.ResourceExhaustedException;
import io.github.jobstream.ResultExpiredException;
import io.github.jobstream.ServerRestartedException;
import io.github.jobstream.UnavailableException;
import java.util.LinkedHashMap;
import java.util.Map;

/** Encodes exceptions for the agent protocol. */
final class ErrorLines {
    /** Subclasses come before their superclasses. */
    private static final Map<Class<?>, String> CLASSES = new LinkedHashMap<>();

    static {
        CLASSES.put(JobFailedException.class, "job_failed");
        CLASSES.put(JobCancelledException.class, "job_cancelled");
        CLASSES.put(NotFinishedException.class, "not_finished");
        CLASSES.put(ServerRestartedException.class, "server_restarted");
        CLASSES.put(JobNotFoundException.class, "job_not_found");
        CLASSES.put(ResultExpiredException.class, "result_expired");
        CLASSES.put(JobIdReusedException.class, "job_id_reused");
        CLASSES.put(InvalidRequestException.class, "invalid_request");
        CLASSES.put(IllegalJobStateException.class, "illegal_state");
        CLASSES.put(ResourceExhaustedException.class, "resource_exhausted");
        CLASSES.put(UnavailableException.class, "unavailable");
        CLASSES.put(DeadlineExceededException.class, "deadline_exceeded");
    }

    private ErrorLines() {}

    static ObjectNode of(Throwable error) {
        ObjectNode line = Values.object().put("class", name(error)).put("message", String.valueOf(error.getMessage()));
        if (error instanceof JobstreamException known) {
            line.put("reason", known.reason());
            var violations = line.putArray("violations");
            known.violations().forEach(violation -> violations.add(violation.field()));
        } else {
            error.printStackTrace();
        }
        if (error instanceof JobFailedException failed) {
            Failure failure = failed.failure();
            line.putObject("failure")
                    .put("reason", failure.reason().name())
                    .put("type", failure.type())
                    .put("message", failure.message())
                    .put("attempt", failure.attempt())
                    .put("retryable", failure.retryable());
        }
        if (error instanceof JobCancelledException cancelled) {
            line.putObject("cancellation")
                    .put("reason", cancelled.cancelReason())
                    .put("forced", cancelled.forced());
        }
        return line;
    }

    private static String name(Throwable error) {
        if (error instanceof InvalidRequestException invalid && invalid.reason().isEmpty()) {
            return "invalid_argument";
        }
        return CLASSES.entrySet().stream()
                .filter(entry -> entry.getKey().isInstance(error))
                .map(Map.Entry::getValue)
                .findFirst()
                .orElse("other");
    }
}
