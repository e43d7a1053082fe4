package io.github.jobstream;

import io.grpc.Status;

/** The job ended CANCELLED. */
public final class JobCancelledException extends JobstreamException {
    private final String jobId;
    private final String cancelReason;
    private final boolean forced;

    JobCancelledException(String jobId, String cancelReason, boolean forced) {
        super(ErrorDetails.of(
                Status.Code.CANCELLED,
                "",
                "job " + jobId + " was cancelled" + (forced ? " by force" : "")
                        + (cancelReason.isEmpty() ? "" : ": " + cancelReason)));
        this.jobId = jobId;
        this.cancelReason = cancelReason;
        this.forced = forced;
    }

    /** The job. */
    public String jobId() {
        return jobId;
    }

    /** The reason passed to cancel; may be empty. */
    public String cancelReason() {
        return cancelReason;
    }

    /** True if the handler did not stop within the grace time and its lease was revoked. */
    public boolean forced() {
        return forced;
    }
}
