package io.github.jobstream;

/** The state of a job. The last three are final. */
public enum JobState {
    /** Not eligible yet: its start time or the back-off before its next attempt has not passed. */
    SCHEDULED,
    /** Waits for a free slot of a worker that serves its kind and queue. */
    QUEUED,
    /** An attempt is running. */
    RUNNING,
    /** Ended with a result. */
    SUCCEEDED,
    /** Ended with a failure. */
    FAILED,
    /** Ended by a cancellation. */
    CANCELLED,
    /** A state that this client does not know. */
    UNKNOWN;

    /** Whether the job has ended. */
    public boolean isFinal() {
        return this == SUCCEEDED || this == FAILED || this == CANCELLED;
    }
}
