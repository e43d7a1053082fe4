package io.github.jobstream;

/** The server is unavailable or unreachable. */
public final class UnavailableException extends JobstreamException {
    UnavailableException(ErrorDetails details) {
        super(details);
    }
}
