package io.github.jobstream;

/**
 * A queue as it was when it was read.
 *
 * @param message the message of the generated stubs, with all fields
 */
public record QueueView(io.github.jobstream.v1.Queue message) {
    /** The name. */
    public String name() {
        return message.getQueue();
    }

    /** Whether the queue is paused: no further attempts of its jobs start. */
    public boolean paused() {
        return message.getPaused();
    }

    /** Number of jobs that wait: SCHEDULED and QUEUED. */
    public int waiting() {
        return message.getCounts().getScheduled() + message.getCounts().getQueued();
    }

    /** Number of RUNNING jobs. */
    public int running() {
        return message.getCounts().getRunning();
    }

    @Override
    public String toString() {
        return "QueueView[" + name() + ", " + waiting() + " waiting, " + running() + " running"
                + (paused() ? ", paused]" : "]");
    }
}
