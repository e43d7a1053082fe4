package io.github.jobstream;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;

/** The context of an attempt: the job, its cancellation, and progress, output and logs. It is thread-safe. */
public interface JobContext {
    /**
     * The job id. ({@code jobId}, {@link #attempt}) is the idempotency key for side effects: no pair is assigned twice.
     */
    String jobId();

    /** Number of the attempt, from 1. Numbers increase and may have gaps. */
    int attempt();

    /** The kind of the job. */
    String kind();

    /** The queue of the job. */
    String queue();

    /** When the attempt times out, by the clock of this machine. */
    Instant deadline();

    /** The headers of the job. */
    Map<String, String> headers();

    /** The labels of the job. */
    default Map<String, String> labels() {
        return Map.of();
    }

    /** The trace of the submitter. */
    default Optional<TraceContext> traceContext() {
        return Optional.empty();
    }

    /** The undecoded input, as the interceptors have changed it. */
    Payload payload();

    /**
     * Reports progress from 0 to 1, with a message of at most 1 KiB. Cheap in a tight loop: only the newest value is
     * sent.
     */
    void progress(double fraction, String message);

    /** Reports progress from 0 to 1. */
    default void progress(double fraction) {
        progress(fraction, "");
    }

    /**
     * Reports progress as {@code done} of {@code total} units, and their fraction if the total is positive. The unit has
     * at most 64 bytes.
     */
    void progressOf(double done, double total, String unit);

    /**
     * Sends a chunk of output to watchers. Blocks while the send buffer is full (backpressure).
     *
     * @param chunk at most 1 MiB by default
     * @param channel name of the output channel, at most 64 bytes; empty for the default
     * @throws InvalidRequestException if the chunk is over the payload limit
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

    /** Sends a log line of at most 16 KiB to watchers. Lines are dropped and counted while the send buffer is full. */
    void log(String text, LogLevel level);

    /** Sends a log line to watchers at level INFO. */
    default void log(String text) {
        log(text, LogLevel.INFO);
    }

    /**
     * Registers a callback that is called once it is known whether the server has recorded the end of this attempt: for
     * example to delete a temporary file or to commit an offset.
     *
     * <pre>{@code
     * Path pages = render(input);
     * context.onSettled(error -> {
     *     if (error.isEmpty()) { // else a later attempt may still use the file
     *         pages.toFile().delete();
     *     }
     * });
     * }</pre>
     *
     * <p>It is called exactly once, after the handler and its interceptors have returned. Without an error the end of the
     * attempt, a failure or a release included, is recorded; if the server has a log, durably. An error whose {@link
     * JobstreamException#reason} is {@code LEASE_LOST} means that the server does not use the end, because the lease was
     * lost: the job runs elsewhere or has ended otherwise. After any other error, such as the {@link UnavailableException} of
     * a worker that ended before the acknowledgement, or that reconnected after a restart of the server, it is not known.
     *
     * <p>The callbacks of an attempt are called in the order of their registration. They must not block. An exception of one
     * is logged and has no other effect. After the handler and its interceptors have returned, this method does nothing.
     */
    default void onSettled(Consumer<Optional<JobstreamException>> callback) {
        throw new UnsupportedOperationException("this context does not implement onSettled");
    }

    /** Whether the handler must stop: its job was cancelled, or its lease was lost. */
    boolean isCancelled();

    /**
     * Throws if the handler must stop. For loops that do not block.
     *
     * @throws CancellationException if the handler must stop
     */
    default void checkCancelled() {
        if (isCancelled()) {
            throw new CancellationException("attempt " + attempt() + " of job " + jobId() + " must stop");
        }
    }
}
