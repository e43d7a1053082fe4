package io.github.jobstream;

/** The waiting thread was interrupted, and still is. Only the wait ended: the job goes on. */
public final class WaitInterruptedException extends JobstreamException {
    WaitInterruptedException(ErrorFacts facts) {
        super(facts);
    }
}
