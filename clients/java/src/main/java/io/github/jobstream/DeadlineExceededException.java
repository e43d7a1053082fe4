package io.github.jobstream;

/** No answer came within the call timeout: the call may or may not have arrived. */
public final class DeadlineExceededException extends JobstreamException {
    DeadlineExceededException(ErrorFacts facts) {
        super(facts);
    }
}
