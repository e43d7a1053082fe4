package io.github.jobstream;

/** The waiting thread was interrupted, and its interrupt status is set. The job continues. */
public final class WaitInterruptedException extends JobstreamException {
    WaitInterruptedException(ErrorDetails details) {
        super(details);
    }
}
