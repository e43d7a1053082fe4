package io.github.jobstream;

/**
 * Is called around the submit of each job, also of those of {@link Client#submitAll} and {@link Client#run}. It passes the
 * job to {@code next}, changed or not, and returns what {@code next} returns. An exception refuses the job. It must be
 * thread-safe.
 *
 * <pre>{@code
 * SubmitInterceptor labelTenant = (job, next) -> next.submit(job.withLabel("tenant", tenant.get()));
 * }</pre>
 */
@FunctionalInterface
public interface SubmitInterceptor {
    /** Submits the job with {@code next}. */
    Submitted intercept(OutgoingJob job, Next next);

    /** The rest of the interceptors, and then the call. */
    @FunctionalInterface
    interface Next {
        /**
         * Sends the job, with the retries of a call. Returns once the server has accepted it. In a batch the job is sent
         * after its interceptors have run, so there it returns before.
         *
         * @throws JobstreamException like {@link Client#submit(String, Object)}
         */
        Submitted submit(OutgoingJob job);
    }
}
