package io.github.jobstream;

import io.github.jobstream.v1.ListJobsRequest;
import java.time.Instant;
import java.util.Map;

/** Selects the jobs of a list. Every setter returns this object. Without any every job matches. */
public final class JobFilter {
    private final ListJobsRequest.Builder request = ListJobsRequest.newBuilder();

    JobFilter() {}

    /** Jobs in one of these states; replaces earlier ones. */
    public JobFilter states(JobState... states) {
        if (states.length == 0) {
            throw new IllegalArgumentException("no states given: omit the filter for jobs in any state");
        }
        request.clearStates();
        for (JobState state : states) {
            request.addStates(Wire.state(state));
        }
        return this;
    }

    /** Jobs of this kind. */
    public JobFilter kind(String kind) {
        request.setKind(kind);
        return this;
    }

    /** Jobs in this queue. */
    public JobFilter queue(String queue) {
        request.setQueue(queue);
        return this;
    }

    /** Jobs with this label, and with all other labels of the filter. */
    public JobFilter label(String key, String value) {
        request.putLabels(key, value);
        return this;
    }

    /** Jobs with all of these labels, as {@link #label}. */
    public JobFilter labels(Map<String, String> labels) {
        request.putAllLabels(labels);
        return this;
    }

    /** Jobs that were accepted at or after this time of the server. */
    public JobFilter createdFrom(Instant time) {
        request.setCreateTimeFrom(Wire.timestamp(time));
        return this;
    }

    /** Jobs that were accepted before this time of the server. */
    public JobFilter createdBefore(Instant time) {
        request.setCreateTimeBefore(Wire.timestamp(time));
        return this;
    }

    /** The request for the first page. */
    ListJobsRequest request() {
        return request.build();
    }
}
