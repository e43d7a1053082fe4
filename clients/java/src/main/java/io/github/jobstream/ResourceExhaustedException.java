package io.github.jobstream;

/** A bound of the server is reached; nothing was kept. */
public final class ResourceExhaustedException extends JobstreamException {
    ResourceExhaustedException(ErrorFacts facts) {
        super(facts);
    }
}
