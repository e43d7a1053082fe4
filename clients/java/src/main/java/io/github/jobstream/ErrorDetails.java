package io.github.jobstream;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** The fields of an exception. */
record ErrorDetails(
        Status.Code code,
        String reason,
        String message,
        Duration retryAfter,
        List<Violation> violations,
        Map<String, String> metadata,
        Throwable cause) {

    ErrorDetails {
        violations = List.copyOf(violations);
        metadata = Map.copyOf(metadata);
    }

    static ErrorDetails of(Status.Code code, String reason, String message) {
        return new ErrorDetails(code, reason, message, null, List.of(), Map.of(), null);
    }

    ErrorDetails withMessage(String message) {
        return new ErrorDetails(code, reason, message, retryAfter, violations, metadata, cause);
    }

    ErrorDetails withReason(String reason) {
        return new ErrorDetails(code, reason, message, retryAfter, violations, metadata, cause);
    }

    ErrorDetails withViolations(List<Violation> violations) {
        return new ErrorDetails(code, reason, message, retryAfter, violations, metadata, cause);
    }

    ErrorDetails withCause(Throwable cause) {
        return new ErrorDetails(code, reason, message, retryAfter, violations, metadata, cause);
    }
}
