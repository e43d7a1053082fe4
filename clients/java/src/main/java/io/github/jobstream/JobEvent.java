package io.github.jobstream;

import java.time.Instant;
import java.util.Optional;
import java.util.OptionalDouble;

/** An event of a job. Sequences count from 1, without gaps. */
public sealed interface JobEvent {
    /** Sequence of the event; of a gap, the last missing sequence. A watch resumes after it. */
    long sequence();

    /**
     * The job changed its state, or a cancellation was requested.
     *
     * @param sequence sequence of the event
     * @param time time of the event by the server's clock
     * @param attempt attempt that produced the event; 0 before the first
     * @param state the new state
     * @param waitReason why the job waits, if it waits
     * @param failure the failure of the attempt that ended, also of the last attempt, if it failed
     * @param nextAttemptTime earliest start of the next attempt, if SCHEDULED
     * @param cancelRequested whether a cancellation was requested while an attempt was running
     */
    record StateChange(
            long sequence,
            Instant time,
            int attempt,
            JobState state,
            Optional<WaitReason> waitReason,
            Optional<Failure> failure,
            Optional<Instant> nextAttemptTime,
            boolean cancelRequested)
            implements JobEvent {}

    /**
     * The handler reported progress. The server retains only the newest.
     *
     * @param sequence sequence of the event
     * @param time time of the event by the server's clock
     * @param attempt attempt that produced the event
     * @param fraction completed fraction, 0 to 1, if it is known
     * @param done number of completed units
     * @param total number of all units
     * @param unit unit of done and total, such as {@code files}; may be empty
     * @param message human-readable text; may be empty
     */
    record Progress(
            long sequence,
            Instant time,
            int attempt,
            OptionalDouble fraction,
            OptionalDouble done,
            OptionalDouble total,
            String unit,
            String message)
            implements JobEvent {
        /** The fraction of {@code done} units in {@code total}; empty if the total is not positive. */
        public static OptionalDouble fractionOf(double done, double total) {
            return total > 0 ? OptionalDouble.of(done / total) : OptionalDouble.empty();
        }
    }

    /**
     * The handler produced a chunk of output. A RUNNING event of a later attempt invalidates the output of earlier
     * attempts.
     *
     * @param sequence sequence of the event
     * @param time time of the event by the server's clock
     * @param attempt attempt that produced the event
     * @param payload the chunk
     * @param channel name of the output channel; may be empty
     */
    record Output(long sequence, Instant time, int attempt, Payload payload, String channel) implements JobEvent {}

    /**
     * The handler wrote a log line.
     *
     * @param sequence sequence of the event
     * @param time time of the event by the server's clock
     * @param attempt attempt that produced the event
     * @param level level of the line
     * @param text the line
     */
    record Log(long sequence, Instant time, int attempt, LogLevel level, String text) implements JobEvent {}

    /**
     * Events that are no longer retained.
     *
     * @param first the first missing sequence
     * @param last the last missing sequence
     */
    record Gap(long first, long last) implements JobEvent {
        @Override
        public long sequence() {
            return last;
        }
    }
}
