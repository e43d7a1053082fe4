package io.github.jobstream;

import io.grpc.Status;
import java.util.List;

/**
 * The request is invalid; {@link #violations} lists every invalid field. The server stored nothing. A payload over the
 * limit also has this exception. {@link #reason} is empty if the client rejected a job id that is not a UUID, without a
 * call.
 */
public final class InvalidRequestException extends JobstreamException {
    /** For interceptors that refuse a job: the field, such as {@code job.payload}, and what is wrong with it. */
    public InvalidRequestException(String field, String description) {
        super(ErrorDetails.of(Status.Code.INVALID_ARGUMENT, "INVALID_FIELD", field + " " + description)
                .withViolations(List.of(new Violation(field, description))));
    }

    InvalidRequestException(ErrorDetails details) {
        super(details);
    }
}
