package io.github.jobstream;

/** The result cannot be decoded as the requested type. {@link Job#payload} returns it undecoded. */
public final class ResultMismatchException extends JobstreamException {
    ResultMismatchException(ErrorDetails details) {
        super(details);
    }
}
