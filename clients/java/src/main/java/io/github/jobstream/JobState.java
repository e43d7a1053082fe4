package io.github.jobstream;

/** Where a job is in its life. The last three are final and never change. */
public enum JobState {
    /** Not eligible yet: its start time or the pause before its next attempt has not passed. */
    SCHEDULED,
    /** Waiting for a free slot of a worker that serves its kind and queue. */
    QUEUED,
    /** An attempt is running. */
    RUNNING,
    /** Ended with a result. */
    SUCCEEDED,
    /** Ended with a failure. */
    FAILED,
    /** Ended by a cancel. */
    CANCELLED,
    /** A state that only a newer server knows. */
    UNKNOWN;

    /** Whether the job has ended. */
    public boolean isFinal() {
        return this == SUCCEEDED || this == FAILED || this == CANCELLED;
    }
}
