package io.github.jobstream;

/** The server takes no calls now, or nobody answers at its address. */
public final class UnavailableException extends JobstreamException {
    UnavailableException(ErrorFacts facts) {
        super(facts);
    }
}
