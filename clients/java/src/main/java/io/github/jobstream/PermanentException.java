package io.github.jobstream;

/** Thrown by a handler: the job fails and is not retried. */
public class PermanentException extends RuntimeException {
    /** With a human-readable message. */
    public PermanentException(String message) {
        super(message);
    }

    /** With a human-readable message and a cause, whose type is the type of the failure. */
    public PermanentException(String message, Throwable cause) {
        super(message, cause);
    }
}
