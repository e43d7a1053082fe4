package io.github.jobstream;

/**
 * The failure of an attempt, or of a job.
 *
 * @param reason the failure reason
 * @param type the error type of the handler, such as {@code java.io.IOException}; may be empty
 * @param message human-readable text
 * @param details machine-readable details: the stack trace of a Java handler; may be empty
 * @param attempt number of the failed attempt, from 1
 * @param retryable whether a retry may succeed
 */
public record Failure(
        FailureReason reason, String type, String message, Payload details, int attempt, boolean retryable) {}
