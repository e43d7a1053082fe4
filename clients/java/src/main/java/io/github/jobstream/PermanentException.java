package io.github.jobstream;

/** Thrown by a handler: the attempt failed, and no other attempt could help. The job ends FAILED. */
public class PermanentException extends RuntimeException {
    /** With a message for a person. */
    public PermanentException(String message) {
        super(message);
    }

    /** With a message for a person and what caused it, whose type is told as the failure's. */
    public PermanentException(String message, Throwable cause) {
        super(message, cause);
    }
}
