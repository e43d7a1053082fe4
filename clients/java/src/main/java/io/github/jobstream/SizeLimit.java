package io.github.jobstream;

import io.grpc.Status;
import java.util.List;

/** The payload limit of the server. */
final class SizeLimit {
    private SizeLimit() {}

    static void check(String field, int size, int limit) {
        if (size > limit) {
            String message = message(field, size, limit);
            throw new InvalidRequestException(
                    ErrorDetails.of(Status.Code.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE", message)
                            .withViolations(List.of(new Violation(field, message))));
        }
    }

    static String message(String field, int size, int limit) {
        return field + " is " + size + " bytes, limit is " + limit + ": store it elsewhere and send a reference";
    }
}
