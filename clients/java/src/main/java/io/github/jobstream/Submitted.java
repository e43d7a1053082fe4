package io.github.jobstream;

import java.util.Objects;
import java.util.Optional;

/**
 * An accepted job.
 *
 * @param jobId its id
 * @param waitReason why it waits; empty if it does not wait, in a batch and in a run
 */
public record Submitted(String jobId, Optional<WaitReason> waitReason) {
    public Submitted {
        Objects.requireNonNull(jobId, "jobId");
        Objects.requireNonNull(waitReason, "waitReason");
    }

    static Submitted of(String jobId) {
        return new Submitted(jobId, Optional.empty());
    }
}
