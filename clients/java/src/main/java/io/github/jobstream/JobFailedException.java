package io.github.jobstream;

import io.grpc.Status;

/** The job ended FAILED. */
public final class JobFailedException extends JobstreamException {
    private final String jobId;
    private final transient Failure failure;

    JobFailedException(String jobId, Failure failure) {
        super(ErrorDetails.of(
                Status.Code.ABORTED,
                failure.reason().name(),
                "job " + jobId + " failed in attempt " + failure.attempt() + ": " + failure.message() + " ("
                        + failure.reason() + (failure.type().isEmpty() ? "" : ", " + failure.type()) + ")"));
        this.jobId = jobId;
        this.failure = failure;
    }

    /** The job. */
    public String jobId() {
        return jobId;
    }

    /** The failure of the last attempt. */
    public Failure failure() {
        return failure;
    }
}
