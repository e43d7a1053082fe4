package io.github.jobstream;

import io.github.jobstream.v1.JobSpec;
import java.util.Map;
import java.util.Optional;

/** A job as its {@link SubmitInterceptor}s see it. Immutable: the setters return a changed copy. */
public final class OutgoingJob {
    private final JobSpec spec;

    OutgoingJob(JobSpec spec) {
        this.spec = spec;
    }

    JobSpec spec() {
        return spec;
    }

    /** The id of the job. */
    public String jobId() {
        return spec.getJobId();
    }

    /** The kind of the job. */
    public String kind() {
        return spec.getKind();
    }

    /** The queue of the job. */
    public String queue() {
        return spec.getQueue().isEmpty() ? "default" : spec.getQueue();
    }

    /** The encoded input. */
    public Payload payload() {
        return Payload.of(spec.getPayload());
    }

    /** The labels of the job. */
    public Map<String, String> labels() {
        return spec.getLabelsMap();
    }

    /** The headers for the handler. */
    public Map<String, String> headers() {
        return spec.getHeadersMap();
    }

    /** The trace that the job belongs to. */
    public Optional<TraceContext> traceContext() {
        return TraceContext.read(spec.getTraceContext());
    }

    /** The job with another kind. */
    public OutgoingJob withKind(String kind) {
        return new OutgoingJob(spec.toBuilder().setKind(kind).build());
    }

    /** The job with another queue. */
    public OutgoingJob withQueue(String queue) {
        return new OutgoingJob(spec.toBuilder().setQueue(queue).build());
    }

    /** The job with another input. */
    public OutgoingJob withPayload(Payload payload) {
        return new OutgoingJob(spec.toBuilder().setPayload(payload.message()).build());
    }

    /** The job with this label. */
    public OutgoingJob withLabel(String key, String value) {
        return new OutgoingJob(spec.toBuilder().putLabels(key, value).build());
    }

    /** The job with this header. */
    public OutgoingJob withHeader(String key, String value) {
        return new OutgoingJob(spec.toBuilder().putHeaders(key, value).build());
    }

    /** The job in this trace. */
    public OutgoingJob withTraceContext(TraceContext context) {
        return new OutgoingJob(
                spec.toBuilder().setTraceContext(context.message()).build());
    }
}
