package io.github.jobstream;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Why a call, or a wait for a job, did not give what was asked for. Subclasses tell the cases apart that programs act
 * on; all others are of this class itself.
 */
public class JobstreamException extends RuntimeException {
    private final transient ErrorFacts facts;

    JobstreamException(ErrorFacts facts) {
        super(facts.message(), facts.cause());
        this.facts = facts;
    }

    /** The gRPC status of the call, or the one that fits best if no call ended with this. */
    public Status.Code code() {
        return facts.code();
    }

    /** What exactly went wrong, such as {@code JOB_ID_REUSED}. Empty if the server gave no reason. */
    public String reason() {
        return facts.reason();
    }

    /** When the server asks to try again, if it does. */
    public Optional<Duration> retryAfter() {
        return Optional.ofNullable(facts.retryAfter());
    }

    /** Every field of the request that breaks a rule. */
    public List<Violation> violations() {
        return facts.violations();
    }

    /** Facts that the server tells beside its message, such as {@code limit} of PAYLOAD_TOO_LARGE. */
    public Map<String, String> metadata() {
        return facts.metadata();
    }

    ErrorFacts facts() {
        return facts;
    }
}
