package io.github.jobstream;

/** The job ended and its result is no longer retained. */
public final class ResultExpiredException extends JobstreamException {
    ResultExpiredException(ErrorDetails details) {
        super(details);
    }
}
