package io.github.jobstream;

import io.github.jobstream.v1.JobSpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;

/** The options of a job. Every setter returns this object. The server validates the values. */
public final class SubmitOptions {
    private final JobSpec.Builder spec = JobSpec.newBuilder();

    SubmitOptions() {}

    /**
     * The job id, a UUID and the idempotency key: submitting the same job with the same id again returns the existing
     * job. From a name derive it with UUIDv5. Default: generated before the first attempt of the call.
     */
    public SubmitOptions jobId(String jobId) {
        spec.setJobId(jobId);
        return this;
    }

    /** The job id, as {@link #jobId(String)}. */
    public SubmitOptions jobId(UUID jobId) {
        return jobId(jobId.toString());
    }

    /** The queue: 1 to 128 characters of {@code [A-Za-z0-9._:/-]}. Default {@code default}. */
    public SubmitOptions queue(String queue) {
        spec.setQueue(queue);
        return this;
    }

    /** The priority, -100 to 100; larger starts first. Default 0. */
    public SubmitOptions priority(int priority) {
        spec.setPriority(priority);
        return this;
    }

    /** Delay between acceptance and the earliest start, at most 10 years. Default: none. */
    public SubmitOptions delay(Duration delay) {
        spec.setStartDelay(Wire.duration(delay));
        return this;
    }

    /** Earliest start by the server's clock. Default: immediately. */
    public SubmitOptions startTime(Instant time) {
        spec.setStartTime(Wire.timestamp(time));
        return this;
    }

    /** Overall timeout of the job after its acceptance: 1 ms to 10 years. Default: none. */
    public SubmitOptions timeout(Duration timeout) {
        spec.setTimeout(Wire.duration(timeout));
        return this;
    }

    /** Timeout of one attempt: 1 ms to 10 years. Default 1 h. */
    public SubmitOptions attemptTimeout(Duration timeout) {
        spec.setAttemptTimeout(Wire.duration(timeout));
        return this;
    }

    /** Number of attempts including the first, at most 100. Default 1: no retry. */
    public SubmitOptions maxAttempts(int attempts) {
        spec.getRetryBuilder().setMaxAttempts(attempts);
        return this;
    }

    /** Back-off before the second attempt: 0 to 10 years. Default 1 s. */
    public SubmitOptions initialBackoff(Duration backoff) {
        spec.getRetryBuilder().setInitialBackoff(Wire.duration(backoff));
        return this;
    }

    /** Longest back-off; not below the initial one. Default 1 h. */
    public SubmitOptions maxBackoff(Duration backoff) {
        spec.getRetryBuilder().setMaxBackoff(Wire.duration(backoff));
        return this;
    }

    /** Factor between consecutive back-offs: 1 to 100. Default 2. */
    public SubmitOptions backoffMultiplier(double factor) {
        spec.getRetryBuilder().setMultiplier(factor);
        return this;
    }

    /** Random share of each back-off: 0 to 1. Default 0.2: each is between 80 % and 100 % of its value. */
    public SubmitOptions backoffJitter(double share) {
        spec.getRetryBuilder().setJitter(share);
        return this;
    }

    /**
     * Number of attempts that may be lost with a worker before the job fails, at most 100. They do not count against
     * {@link #maxAttempts}. Default 3.
     */
    public SubmitOptions maxLostAttempts(int attempts) {
        spec.getRetryBuilder().setMaxLostAttempts(attempts);
        return this;
    }

    /** How long the finished job and its result are retained: 0 to 10 years. Default: the server's, 1 h. */
    public SubmitOptions retention(Duration retention) {
        spec.setRetention(Wire.duration(retention));
        return this;
    }

    /** A label to filter jobs by; at most 16, keys up to 64 bytes, values up to 256. */
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

    /** The trace that the job belongs to, for the handler. {@code JobstreamTelemetry} sets it. Default: none. */
    public SubmitOptions traceContext(TraceContext context) {
        spec.setTraceContext(context.message());
        return this;
    }

    /** Generates the job id if none was set. */
    void chooseJobId() {
        if (spec.getJobId().isEmpty()) {
            spec.setJobId(JobIds.generate());
        }
    }

    String jobId() {
        return spec.getJobId();
    }

    JobSpec spec(String kind, Payload input) {
        JobIds.check("job.job_id", jobId());
        return spec.setKind(kind).setPayload(input.message()).build();
    }
}
