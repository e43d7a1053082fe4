package io.github.jobstream;

/** The kind of a failure. */
public enum FailureReason {
    /** The handler ended with an error. */
    HANDLER,
    /** The handler broke in a way that is a bug: a panic, or an {@link Error} in Java. */
    PANIC,
    /** The attempt ran longer than its attempt timeout. */
    ATTEMPT_TIMEOUT,
    /** The worker went away. */
    WORKER_LOST,
    /** The job's timeout passed. */
    DEADLINE,
    /** A command ended with a non-zero exit status or by a signal. */
    EXIT_STATUS,
    /** The worker has no handler for this kind. */
    UNKNOWN_KIND,
    /** The payload was not what the handler reads; the message names the field. */
    BAD_PAYLOAD,
    /** The result was larger than the limit. */
    RESULT_TOO_LARGE,
    /** The command could not be started. */
    NOT_STARTED,
    /** A reason that only a newer server knows. */
    UNKNOWN
}
