package io.github.jobstream;

import java.time.Instant;
import java.util.Optional;
import java.util.OptionalDouble;

/** An entry of a job's stream of events. Sequences count from 1, without holes. */
public sealed interface JobEvent {
    /** Number of the event in its job; of a gap, the last that is gone. A watch resumes after it. */
    long sequence();

    /**
     * The job moved to another state, or a cancel was requested.
     *
     * @param sequence number of the event
     * @param time when it happened, by the server's clock
     * @param attempt the attempt it belongs to; 0 before the first
     * @param state the state from now on
     * @param failure why the attempt that just ended failed, if it did and the job goes on
     * @param nextAttemptTime when the next attempt may start, if SCHEDULED
     * @param cancelRequested whether a cancel was accepted while an attempt was running
     */
    record StateChange(
            long sequence,
            Instant time,
            int attempt,
            JobState state,
            Optional<Failure> failure,
            Optional<Instant> nextAttemptTime,
            boolean cancelRequested)
            implements JobEvent {}

    /**
     * The handler reported progress; only the newest is kept.
     *
     * @param sequence number of the event
     * @param time when it happened, by the server's clock
     * @param attempt the attempt it belongs to
     * @param fraction share done, 0 to 1
     * @param done units done
     * @param total units in all
     * @param unit what is counted, such as {@code files}; may be empty
     * @param message for a person; may be empty
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
            implements JobEvent {}

    /**
     * The handler produced a chunk of output. After a RUNNING event of a later attempt, earlier chunks are void.
     *
     * @param sequence number of the event
     * @param time when it happened, by the server's clock
     * @param attempt the attempt it belongs to
     * @param payload the chunk
     * @param channel which of several outputs; may be empty
     */
    record Output(long sequence, Instant time, int attempt, Payload payload, String channel) implements JobEvent {}

    /**
     * The handler wrote a log line.
     *
     * @param sequence number of the event
     * @param time when it happened, by the server's clock
     * @param attempt the attempt it belongs to
     * @param level how important it is
     * @param text the line
     */
    record Log(long sequence, Instant time, int attempt, LogLevel level, String text) implements JobEvent {}

    /**
     * Events that are no longer kept: old output and logs, and progress that newer progress replaced.
     *
     * @param from first sequence that is gone
     * @param to last sequence that is gone
     */
    record Gap(long from, long to) implements JobEvent {
        @Override
        public long sequence() {
            return to;
        }
    }
}
