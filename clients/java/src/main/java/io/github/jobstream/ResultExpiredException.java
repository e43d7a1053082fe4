package io.github.jobstream;

/** The job is known, its result is past its retention. */
public final class ResultExpiredException extends JobstreamException {
    ResultExpiredException(ErrorFacts facts) {
        super(facts);
    }
}
