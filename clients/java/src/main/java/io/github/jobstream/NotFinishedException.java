package io.github.jobstream;

/** The wait timed out. The job continues. */
public final class NotFinishedException extends JobstreamException {
    NotFinishedException(ErrorDetails details) {
        super(details);
    }
}
