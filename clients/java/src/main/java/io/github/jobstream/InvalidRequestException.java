package io.github.jobstream;

/**
 * A field breaks a rule; {@link #violations} lists each. Nothing was kept. Payloads that are too large are among these.
 */
public final class InvalidRequestException extends JobstreamException {
    InvalidRequestException(ErrorFacts facts) {
        super(facts);
    }
}
