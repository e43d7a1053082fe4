package io.github.jobstream;

/** Why a waiting job is not running. */
public enum WaitReason {
    /** Its start time has not passed. */
    NOT_DUE,
    /** An attempt failed, and the back-off before the next one has not passed. */
    BACK_OFF,
    /** Its queue is paused. */
    QUEUE_PAUSED,
    /** No connected worker serves its kind in its queue. */
    NO_WORKER,
    /** No worker that serves its kind has a free slot. */
    WORKERS_BUSY,
    /** The server is shutting down and starts no attempts. */
    DRAINING,
    /** It was assigned to a worker that has not accepted it yet. */
    STARTING,
    /** It is larger than every worker that serves its kind can receive; see {@link ClientOptions#messageBytesMax}. */
    WORKER_LIMIT,
    /** A reason that this client does not know. */
    UNKNOWN
}
