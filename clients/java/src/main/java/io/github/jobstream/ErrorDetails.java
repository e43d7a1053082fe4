package io.github.jobstream;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** What is known about an error. */
record ErrorFacts(
        Status.Code code,
        String reason,
        String message,
        Duration retryAfter,
        List<Violation> violations,
        Map<String, String> metadata,
        Throwable cause) {

    ErrorFacts {
        violations = List.copyOf(violations);
        metadata = Map.copyOf(metadata);
    }

    static ErrorFacts of(Status.Code code, String reason, String message) {
        return new ErrorFacts(code, reason, message, null, List.of(), Map.of(), null);
    }

    ErrorFacts withMessage(String message) {
        return new ErrorFacts(code, reason, message, retryAfter, violations, metadata, cause);
    }

    ErrorFacts withReason(String reason) {
        return new ErrorFacts(code, reason, message, retryAfter, violations, metadata, cause);
    }

    ErrorFacts withViolations(List<Violation> violations) {
        return new ErrorFacts(code, reason, message, retryAfter, violations, metadata, cause);
    }

    ErrorFacts withCause(Throwable cause) {
        return new ErrorFacts(code, reason, message, retryAfter, violations, metadata, cause);
    }
}
