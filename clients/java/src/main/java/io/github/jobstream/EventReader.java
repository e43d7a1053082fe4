package io.github.jobstream;

import io.github.jobstream.v1.Gap;
import io.github.jobstream.v1.Output;
import io.github.jobstream.v1.Progress;
import io.github.jobstream.v1.StateChange;
import java.time.Instant;
import java.util.Optional;
import java.util.OptionalDouble;

/** Decodes the events of a watch. Sequences are unsigned on the wire. */
final class EventReader {
    private EventReader() {}

    /** The event; null for an event type that this client does not know. */
    static JobEvent read(io.github.jobstream.v1.JobEvent event) {
        long sequence = sequence(event.getSequence());
        Instant time = Wire.instant(event.getTime());
        int attempt = event.getAttempt();
        return switch (event.getEventCase()) {
            case STATE_CHANGE -> stateChange(sequence, time, attempt, event.getStateChange());
            case PROGRESS -> progress(sequence, time, attempt, event.getProgress());
            case OUTPUT -> output(sequence, time, attempt, event.getOutput());
            case LOG ->
                new JobEvent.Log(
                        sequence,
                        time,
                        attempt,
                        Wire.level(event.getLog().getLevel()),
                        event.getLog().getText());
            case EVENT_NOT_SET -> null;
        };
    }

    static JobEvent.Gap gap(Gap gap) {
        return new JobEvent.Gap(sequence(gap.getFirst()), sequence(gap.getLast()));
    }

    static long sequence(int wire) {
        return Integer.toUnsignedLong(wire);
    }

    private static JobEvent stateChange(long sequence, Instant time, int attempt, StateChange change) {
        return new JobEvent.StateChange(
                sequence,
                time,
                attempt,
                Wire.state(change.getState()),
                Wire.waitReason(change.getWaitReason()),
                failure(change),
                change.hasNextAttemptTime() ? Optional.of(Wire.instant(change.getNextAttemptTime())) : Optional.empty(),
                change.getCancelRequested());
    }

    /** The failure of the attempt that ended. That of the last attempt is the outcome of the job. */
    private static Optional<Failure> failure(StateChange change) {
        if (change.hasFailure()) {
            return Optional.of(Wire.failure(change.getFailure()));
        }
        return change.getOutcome().hasFailure()
                ? Optional.of(Wire.failure(change.getOutcome().getFailure()))
                : Optional.empty();
    }

    private static JobEvent progress(long sequence, Instant time, int attempt, Progress progress) {
        return new JobEvent.Progress(
                sequence,
                time,
                attempt,
                optional(progress.hasFraction(), progress.getFraction()),
                optional(progress.hasDone(), progress.getDone()),
                optional(progress.hasTotal(), progress.getTotal()),
                progress.getUnit(),
                progress.getMessage());
    }

    private static JobEvent output(long sequence, Instant time, int attempt, Output output) {
        return new JobEvent.Output(sequence, time, attempt, Payload.of(output.getPayload()), output.getChannel());
    }

    private static OptionalDouble optional(boolean isSet, double value) {
        return isSet ? OptionalDouble.of(value) : OptionalDouble.empty();
    }
}
