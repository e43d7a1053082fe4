package io.github.jobstream;

/** The time for waiting passed; the job goes on. */
public final class NotFinishedException extends JobstreamException {
    NotFinishedException(ErrorFacts facts) {
        super(facts);
    }
}
