package io.github.jobstream;

/**
 * The request is invalid; {@link #violations} lists every invalid field. The server stored nothing. A payload over the
 * limit also has this exception. {@link #reason} is empty if the client rejected a job id that is not a UUID, without a
 * call.
 */
public final class InvalidRequestException extends JobstreamException {
    InvalidRequestException(ErrorDetails details) {
        super(details);
    }
}
