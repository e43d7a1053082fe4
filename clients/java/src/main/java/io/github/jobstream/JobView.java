package io.github.jobstream;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * A job as it was when it was read.
 *
 * @param message the message of the generated stubs, with all fields
 */
public record JobView(io.github.jobstream.v1.Job message) {
    /** The job id. */
    public String id() {
        return message.getJobId();
    }

    /** The kind. */
    public String kind() {
        return message.getSpec().getKind();
    }

    /** The queue. */
    public String queue() {
        return message.getSpec().getQueue();
    }

    /** The state. */
    public JobState state() {
        return Wire.state(message.getState());
    }

    /** Why the job waits, if it waits. */
    public Optional<WaitReason> waitReason() {
        return Wire.waitReason(message.getWaitReason());
    }

    /** Number of the newest attempt; 0 before the first. */
    public int attempt() {
        return message.getAttempt();
    }

    /** The labels. */
    public Map<String, String> labels() {
        return message.getSpec().getLabelsMap();
    }

    /** The trace of the submitter. */
    public Optional<TraceContext> traceContext() {
        return TraceContext.read(message.getSpec().getTraceContext());
    }

    /** When the job was accepted, by the server's clock. */
    public Instant createTime() {
        return Wire.instant(message.getCreateTime());
    }

    /** When the newest attempt started, if there was one. */
    public Optional<Instant> startTime() {
        return message.hasStartTime() ? Optional.of(Wire.instant(message.getStartTime())) : Optional.empty();
    }

    /** When the job ended, if it has ended. */
    public Optional<Instant> finishTime() {
        return message.hasFinishTime() ? Optional.of(Wire.instant(message.getFinishTime())) : Optional.empty();
    }

    @Override
    public String toString() {
        return "JobView[" + id() + ", kind " + kind() + ", queue " + queue() + ", " + state() + "]";
    }
}
