package io.github.jobstream;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The base class of all exceptions of a call or a wait. Errors without a class of their own are plain
 * JobstreamExceptions.
 */
public class JobstreamException extends RuntimeException {
    private final transient ErrorDetails details;

    JobstreamException(ErrorDetails details) {
        super(details.message(), details.cause());
        this.details = details;
    }

    /** The gRPC status code of the call, or the closest one if no call failed. */
    public Status.Code code() {
        return details.code();
    }

    /** The stable reason of the server, such as {@code JOB_ID_REUSED}. Empty if there is none. */
    public String reason() {
        return details.reason();
    }

    /** The delay that the server requests before a retry, if any. */
    public Optional<Duration> retryAfter() {
        return Optional.ofNullable(details.retryAfter());
    }

    /** Every invalid field of the request. */
    public List<Violation> violations() {
        return details.violations();
    }

    /** Further values from the server, such as {@code limit} of PAYLOAD_TOO_LARGE. */
    public Map<String, String> metadata() {
        return details.metadata();
    }

    ErrorDetails details() {
        return details;
    }
}
