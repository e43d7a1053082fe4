package io.github.jobstream;

import java.time.Instant;
import java.util.Map;
import java.util.concurrent.CancellationException;

/** What a handler knows of its attempt, and how it tells watchers about it. Safe for use by several threads. */
public interface JobContext {
    /**
     * The job's id; with {@link #attempt} the key for side effects that must not happen twice: no two workers are ever sent
     * the same pair.
     */
    String jobId();

    /** Number of the attempt, from 1. Numbers grow and may have gaps. */
    int attempt();

    /** The job's kind. */
    String kind();

    /** Where the job waited. */
    String queue();

    /** When the attempt is taken back, by this machine's clock. */
    Instant deadline();

    /** As submitted. */
    Map<String, String> headers();

    /** The input as it came. */
    Payload payload();

    /**
     * Tells how far the attempt is: a share from 0 to 1, and a message of at most 1 KiB. Cheap in a tight loop: only the
     * newest is sent.
     */
    void progress(double fraction, String message);

    /** Tells how far the attempt is, as a share from 0 to 1. */
    default void progress(double fraction) {
        progress(fraction, "");
    }

    /** Tells how far the attempt is: units done, units in all, and what is counted, in at most 64 bytes. */
    void progressOf(double done, double total, String unit);

    /**
     * Sends a chunk of output to watchers; waits while the server has not taken the earlier ones.
     *
     * @param chunk at most 1 MiB by default
     * @param channel which of several outputs, at most 64 bytes; empty for the only one
     * @throws InvalidRequestException if the chunk is too large
     * @throws CancellationException if the attempt was cancelled or its thread interrupted meanwhile
     */
    void output(Payload chunk, String channel);

    /** Sends a chunk of text to watchers, as {@link #output(Payload, String)}. */
    default void output(String chunk, String channel) {
        output(Payload.text(chunk), channel);
    }

    /** Sends a chunk of text to watchers, as {@link #output(Payload, String)}. */
    default void output(String chunk) {
        output(chunk, "");
    }

    /** Sends a line of at most 16 KiB to watchers. Lines that come faster than they can be sent are dropped and counted. */
    void log(String text, LogLevel level);

    /** Sends a line to watchers, at level INFO. */
    default void log(String text) {
        log(text, LogLevel.INFO);
    }

    /** Whether the handler is to stop: its job was cancelled, or the attempt is given to another worker. */
    boolean isCancelled();

    /**
     * For loops that do not block.
     *
     * @throws CancellationException if the handler is to stop
     */
    default void checkCancelled() {
        if (isCancelled()) {
            throw new CancellationException("attempt " + attempt() + " of job " + jobId() + " is to stop");
        }
    }
}
