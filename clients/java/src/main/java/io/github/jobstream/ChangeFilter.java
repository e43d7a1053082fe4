package io.github.jobstream;

import io.github.jobstream.v1.WatchJobsRequest;
import java.util.Map;

/** Selects the changes of a {@link Feed}. Every setter returns this object. Without any every change matches. */
public final class ChangeFilter {
    private final WatchJobsRequest.Builder request = WatchJobsRequest.newBuilder();

    ChangeFilter() {}

    /** Changes to one of these states; replaces earlier ones. */
    public ChangeFilter states(JobState... states) {
        if (states.length == 0) {
            throw new IllegalArgumentException("no states given: omit the filter for changes to any state");
        }
        request.clearStates();
        for (JobState state : states) {
            request.addStates(Wire.state(state));
        }
        return this;
    }

    /** Changes of jobs of this kind. */
    public ChangeFilter kind(String kind) {
        request.setKind(kind);
        return this;
    }

    /** Changes of jobs in this queue. */
    public ChangeFilter queue(String queue) {
        request.setQueue(queue);
        return this;
    }

    /** Changes of jobs with this label, and with all other labels of the filter. */
    public ChangeFilter label(String key, String value) {
        request.putLabels(key, value);
        return this;
    }

    /** Changes of jobs with all of these labels, as {@link #label}. */
    public ChangeFilter labels(Map<String, String> labels) {
        request.putAllLabels(labels);
        return this;
    }

    /** The request of a stream from now on. */
    WatchJobsRequest request() {
        return request.build();
    }
}
