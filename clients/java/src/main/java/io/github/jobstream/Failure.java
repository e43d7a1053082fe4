package io.github.jobstream;

/**
 * Why an attempt, and with the last one the job, failed.
 *
 * @param reason what kind of failure it was
 * @param type the handler's own name for the error, such as {@code java.io.IOException}; may be empty
 * @param message for a person
 * @param details more, for a program: the stack trace of a handler in Java; may be empty
 * @param attempt number of the attempt that failed, from 1
 * @param retryable whether another attempt could have helped
 */
public record Failure(
        FailureReason reason, String type, String message, Payload details, int attempt, boolean retryable) {}
