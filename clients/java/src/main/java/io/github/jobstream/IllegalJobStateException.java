package io.github.jobstream;

/** The job's state forbids the call. */
public final class IllegalJobStateException extends JobstreamException {
    IllegalJobStateException(ErrorFacts facts) {
        super(facts);
    }
}
