package io.github.jobstream;

import java.time.Duration;

/** Thrown by a handler: the attempt failed, and the next one, if the job has any left, is to begin after this pause. */
public class RetryLaterException extends RuntimeException {
    private final Duration after;

    /** With a pause of at most 10 years in place of the retry policy's. */
    public RetryLaterException(Duration after) {
        this(after, "to be tried again in " + after.toMillis() + " ms");
    }

    /** With a pause of at most 10 years, and a message for a person. */
    public RetryLaterException(Duration after, String message) {
        super(message);
        if (after.isNegative()) {
            throw new IllegalArgumentException("a pause of " + after + " is negative: use zero or more");
        }
        this.after = after;
    }

    /** The pause before the next attempt. */
    public Duration after() {
        return after;
    }
}
