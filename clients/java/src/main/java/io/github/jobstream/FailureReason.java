package io.github.jobstream;

/** The reason of a failure. */
public enum FailureReason {
    /** The handler ended with an error. */
    HANDLER,
    /** The handler failed with a bug: a panic, or an {@link Error} in Java. */
    PANIC,
    /** The attempt exceeded its timeout. */
    ATTEMPT_TIMEOUT,
    /** The worker was lost. */
    WORKER_LOST,
    /** The job's timeout passed. */
    DEADLINE,
    /** A program ended with a non-zero exit status or by a signal. */
    EXIT_STATUS,
    /** The worker has no handler for this kind. */
    UNKNOWN_KIND,
    /** The payload cannot be decoded as the input type of the handler; the message names the field. */
    BAD_PAYLOAD,
    /** The result was larger than the limit. */
    RESULT_TOO_LARGE,
    /** The program could not be started. */
    NOT_STARTED,
    /** A reason that this client does not know. */
    UNKNOWN
}
