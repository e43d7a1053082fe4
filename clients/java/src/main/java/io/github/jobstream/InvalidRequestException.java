package io.github.jobstream;

/**
 * The request is invalid; {@link #violations} lists every invalid field. The server stored nothing. A payload over the
 * limit also has this exception.
 */
public final class InvalidRequestException extends JobstreamException {
    InvalidRequestException(ErrorDetails details) {
        super(details);
    }
}
