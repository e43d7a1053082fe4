package io.github.jobstream;

/** The state of the job does not allow the call. */
public final class IllegalJobStateException extends JobstreamException {
    IllegalJobStateException(ErrorDetails details) {
        super(details);
    }
}
