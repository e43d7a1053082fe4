package io.github.jobstream;

import java.util.Map;
import java.util.Optional;

/** An item of a {@link Feed}. */
public sealed interface FeedItem {
    /**
     * A job changed its state.
     *
     * @param jobId the job id
     * @param queue the queue of the job
     * @param kind the kind of the job
     * @param labels the labels of the job
     * @param owner the principal that submitted the job; empty if its caller was anonymous
     * @param event the change, without failure details: {@link Client#get} returns them
     */
    record Change(
            String jobId,
            String queue,
            String kind,
            Map<String, String> labels,
            Optional<String> owner,
            JobEvent.StateChange event)
            implements FeedItem {}

    /**
     * Changes that the server does not retain.
     *
     * @param missed the number of changes of all jobs, before the filter; 0 if it is not known
     */
    record Gap(long missed) implements FeedItem {}
}
