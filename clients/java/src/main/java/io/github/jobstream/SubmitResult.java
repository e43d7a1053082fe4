package io.github.jobstream;

import java.util.Optional;

/**
 * The result for one job of {@link Client#submitAll}: its handle, or the reason why it was rejected.
 *
 * @param <T> type of the job's result
 */
public final class SubmitResult<T> {
    private final Job<T> job;
    private final JobstreamException error;

    private SubmitResult(Job<T> job, JobstreamException error) {
        this.job = job;
        this.error = error;
    }

    static <T> SubmitResult<T> accepted(Job<T> job) {
        return new SubmitResult<>(job, null);
    }

    static <T> SubmitResult<T> rejected(JobstreamException error) {
        return new SubmitResult<>(null, error);
    }

    /**
     * The handle of the job.
     *
     * @throws JobstreamException the {@link #error}, if there is one
     */
    public Job<T> job() {
        if (error != null) {
            throw error;
        }
        return job;
    }

    /** The exception that a submit of this job alone would have thrown; empty if the job was accepted. */
    public Optional<JobstreamException> error() {
        return Optional.ofNullable(error);
    }

    @Override
    public String toString() {
        return "SubmitResult[" + (error == null ? job : error) + "]";
    }
}
