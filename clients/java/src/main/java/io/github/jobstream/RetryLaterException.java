package io.github.jobstream;

import java.time.Duration;

/** Thrown by a handler: the attempt fails, and the next one, if one is left, starts after this delay. */
public class RetryLaterException extends RuntimeException {
    private final Duration after;

    /** With a delay of at most 10 years in place of the retry policy's. */
    public RetryLaterException(Duration after) {
        this(after, "retry after " + after.toMillis() + " ms");
    }

    /** With a delay of at most 10 years and a human-readable message. */
    public RetryLaterException(Duration after, String message) {
        super(message);
        if (after.isNegative()) {
            throw new IllegalArgumentException("the delay " + after + " is negative: must be zero or more");
        }
        this.after = after;
    }

    /** The delay before the next attempt. */
    public Duration after() {
        return after;
    }
}
