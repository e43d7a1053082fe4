package io.github.jobstream;

/** A limit of the server is reached. The server stored nothing. */
public final class ResourceExhaustedException extends JobstreamException {
    ResourceExhaustedException(ErrorDetails details) {
        super(details);
    }
}
