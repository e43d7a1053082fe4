package io.github.jobstream;

import com.google.protobuf.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/** Converts times and enumerations to and from messages. */
final class Wire {
    private Wire() {}

    static com.google.protobuf.Duration duration(Duration duration) {
        // In protobuf seconds and nanoseconds have the same sign; in Java nanoseconds are never negative.
        boolean isBorrowed = duration.getSeconds() < 0 && duration.getNano() > 0;
        return com.google.protobuf.Duration.newBuilder()
                .setSeconds(duration.getSeconds() + (isBorrowed ? 1 : 0))
                .setNanos(duration.getNano() - (isBorrowed ? 1_000_000_000 : 0))
                .build();
    }

    static Duration duration(com.google.protobuf.Duration duration) {
        return Duration.ofSeconds(duration.getSeconds(), duration.getNanos());
    }

    static Timestamp timestamp(Instant time) {
        return Timestamp.newBuilder()
                .setSeconds(time.getEpochSecond())
                .setNanos(time.getNano())
                .build();
    }

    static Instant instant(Timestamp time) {
        return Instant.ofEpochSecond(time.getSeconds(), time.getNanos());
    }

    static JobState state(io.github.jobstream.v1.JobState state) {
        return switch (state) {
            case JOB_STATE_SCHEDULED -> JobState.SCHEDULED;
            case JOB_STATE_QUEUED -> JobState.QUEUED;
            case JOB_STATE_RUNNING -> JobState.RUNNING;
            case JOB_STATE_SUCCEEDED -> JobState.SUCCEEDED;
            case JOB_STATE_FAILED -> JobState.FAILED;
            case JOB_STATE_CANCELLED -> JobState.CANCELLED;
            case JOB_STATE_UNSPECIFIED, UNRECOGNIZED -> JobState.UNKNOWN;
        };
    }

    static io.github.jobstream.v1.JobState state(JobState state) {
        if (state == JobState.UNKNOWN) {
            throw new IllegalArgumentException("jobs cannot be selected by the state UNKNOWN");
        }
        return io.github.jobstream.v1.JobState.valueOf("JOB_STATE_" + state);
    }

    /** The reason; empty if the job does not wait. */
    static Optional<WaitReason> waitReason(io.github.jobstream.v1.WaitReason reason) {
        return switch (reason) {
            case WAIT_REASON_UNSPECIFIED -> Optional.empty();
            case UNRECOGNIZED -> Optional.of(WaitReason.UNKNOWN);
            default -> Optional.of(WaitReason.valueOf(reason.name().substring("WAIT_REASON_".length())));
        };
    }

    static LogLevel level(io.github.jobstream.v1.LogLevel level) {
        return switch (level) {
            case LOG_LEVEL_DEBUG -> LogLevel.DEBUG;
            case LOG_LEVEL_INFO -> LogLevel.INFO;
            case LOG_LEVEL_WARN -> LogLevel.WARN;
            case LOG_LEVEL_ERROR -> LogLevel.ERROR;
            case LOG_LEVEL_UNSPECIFIED, UNRECOGNIZED -> LogLevel.UNSPECIFIED;
        };
    }

    static io.github.jobstream.v1.LogLevel level(LogLevel level) {
        return io.github.jobstream.v1.LogLevel.valueOf("LOG_LEVEL_" + level);
    }

    static Failure failure(io.github.jobstream.v1.Failure failure) {
        return new Failure(
                reason(failure.getReason()),
                failure.getType(),
                failure.getMessage(),
                Payload.of(failure.getDetails()),
                failure.getAttempt(),
                failure.getRetryable());
    }

    private static FailureReason reason(io.github.jobstream.v1.FailureReason reason) {
        return switch (reason) {
            case FAILURE_REASON_UNSPECIFIED, UNRECOGNIZED -> FailureReason.UNKNOWN;
            default -> FailureReason.valueOf(reason.name().substring("FAILURE_REASON_".length()));
        };
    }
}
