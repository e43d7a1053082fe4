package io.github.jobstream;

/** No response within the call timeout. The server may or may not have processed the call. */
public final class DeadlineExceededException extends JobstreamException {
    DeadlineExceededException(ErrorDetails details) {
        super(details);
    }
}
