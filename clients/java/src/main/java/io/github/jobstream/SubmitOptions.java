package io.github.jobstream;

import io.github.jobstream.v1.JobSpec;
import io.github.jobstream.v1.RetryPolicy;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;

/** What a submit may ask for beside kind and input. Every setter answers the same object; the server checks values. */
public final class SubmitOptions {
    private final JobSpec.Builder spec = JobSpec.newBuilder();

    SubmitOptions() {}

    /**
     * A UUID of the caller's, the job's idempotency key: submitting it again with the same spec answers the same job.
     * Default: a new one, minted before the first try.
     */
    public SubmitOptions jobId(String jobId) {
        spec.setJobId(jobId);
        return this;
    }

    /** A UUID of the caller's, as {@link #jobId(String)}. */
    public SubmitOptions jobId(UUID jobId) {
        return jobId(jobId.toString());
    }

    /** Where the job waits: 1 to 128 characters of {@code [A-Za-z0-9._:/-]}. Default {@code default}. */
    public SubmitOptions queue(String queue) {
        spec.setQueue(queue);
        return this;
    }

    /** -100 to 100; larger starts first. Default 0. */
    public SubmitOptions priority(int priority) {
        spec.setPriority(priority);
        return this;
    }

    /** The job starts not before this long after its acceptance, at most 10 years. Default: at once. */
    public SubmitOptions delay(Duration delay) {
        spec.setStartDelay(Wire.duration(delay));
        return this;
    }

    /** The job starts not before this time of the server's clock. Default: at once. */
    public SubmitOptions startTime(Instant time) {
        spec.setStartTime(Wire.timestamp(time));
        return this;
    }

    /** Longest life of the whole job, from its acceptance: 1 ms to 10 years. Default: none. */
    public SubmitOptions timeout(Duration timeout) {
        spec.setTimeout(Wire.duration(timeout));
        return this;
    }

    /** Longest time of one attempt: 1 ms to 10 years. Default 1 h. */
    public SubmitOptions attemptTimeout(Duration timeout) {
        spec.setAttemptTimeout(Wire.duration(timeout));
        return this;
    }

    /** Attempts in all, the first included, at most 100. Default 1. */
    public SubmitOptions maxAttempts(int attempts) {
        spec.getRetryBuilder().setMaxAttempts(attempts);
        return this;
    }

    /** The whole retry policy, as a message of the raw stubs; replaces {@link #maxAttempts}. */
    public SubmitOptions retry(RetryPolicy policy) {
        spec.setRetry(policy);
        return this;
    }

    /** How long the finished job and its result are kept: 0 to 10 years. Default: the server's, 1 h. */
    public SubmitOptions retention(Duration retention) {
        spec.setRetention(Wire.duration(retention));
        return this;
    }

    /** A label to find jobs by; at most 16, keys up to 64 bytes, values up to 256. */
    public SubmitOptions label(String key, String value) {
        spec.putLabels(key, value);
        return this;
    }

    /** Labels, as {@link #label}. */
    public SubmitOptions labels(Map<String, String> labels) {
        spec.putAllLabels(labels);
        return this;
    }

    /** A header for the handler; at most 16, keys up to 64 bytes, values up to 256. */
    public SubmitOptions header(String key, String value) {
        spec.putHeaders(key, value);
        return this;
    }

    /** Headers, as {@link #header}. */
    public SubmitOptions headers(Map<String, String> headers) {
        spec.putAllHeaders(headers);
        return this;
    }

    JobSpec spec(String kind, Payload input) {
        if (spec.getJobId().isEmpty()) {
            spec.setJobId(JobIds.mint());
        }
        return spec.setKind(kind).setPayload(input.message()).build();
    }
}
