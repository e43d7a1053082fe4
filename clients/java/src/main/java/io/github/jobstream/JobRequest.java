package io.github.jobstream;

import io.github.jobstream.v1.JobSpec;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * A job to submit, for {@link Client#submitAll}. Its id is chosen when the request is created and is the idempotency key:
 * submitting the request again returns the same job.
 */
public final class JobRequest {
    private final String kind;
    private final Object input;
    private final SubmitOptions options;

    private JobRequest(String kind, Object input, SubmitOptions options) {
        this.kind = Objects.requireNonNull(kind, "kind");
        this.input = input;
        this.options = options;
    }

    /** A job of this kind with this input, as {@link Client#submit(String, Object)}. */
    public static JobRequest of(String kind, Object input) {
        return of(kind, input, options -> {});
    }

    /** A job like {@link #of(String, Object)}, with options. */
    public static JobRequest of(String kind, Object input, Consumer<SubmitOptions> options) {
        SubmitOptions chosen = new SubmitOptions();
        options.accept(chosen);
        chosen.chooseJobId();
        return new JobRequest(kind, input, chosen);
    }

    /** The id that the job has or will have. */
    public String jobId() {
        return options.jobId();
    }

    /**
     * Encodes the request.
     *
     * @throws InvalidRequestException if the id is not a UUID or the input cannot be encoded
     */
    JobSpec spec(Codec codec) {
        return options.spec(kind, codec.encode("job.payload", input));
    }
}
