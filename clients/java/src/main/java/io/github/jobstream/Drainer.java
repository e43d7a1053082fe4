package io.github.jobstream;

import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;

/**
 * Drains a worker, or one of its streams: waits for running attempts until a deadline, releases the rest and waits for
 * the acknowledgement of their reports.
 */
final class Drainer {
    /** Time for interrupted handlers to stop before their attempts are released. */
    private static final Duration STOP_TIME_MAX = Duration.ofSeconds(2);
    /** Time to wait for the acknowledgement of the last reports. */
    private static final Duration ACKNOWLEDGE_TIME_MAX = Duration.ofSeconds(2);

    private final AttemptRunner runner;
    private final ReportBuffer reports;
    private final LongSupplier deadlineNanos;
    private final BooleanSupplier isObsolete;

    /**
     * The deadline is a time of {@link System#nanoTime} and may change meanwhile. The drainer stops once it is
     * obsolete, because the worker or the stream has ended.
     */
    Drainer(AttemptRunner runner, ReportBuffer reports, LongSupplier deadlineNanos, BooleanSupplier isObsolete) {
        this.runner = runner;
        this.reports = reports;
        this.deadlineNanos = deadlineNanos;
        this.isObsolete = isObsolete;
    }

    void run() {
        try {
            if (!runner.awaitIdle(deadlineNanos) && !isObsolete.getAsBoolean()) {
                runner.stopAll();
                long stopNanos = System.nanoTime() + STOP_TIME_MAX.toNanos();
                if (!runner.awaitIdle(() -> stopNanos) && !isObsolete.getAsBoolean()) {
                    runner.abandonAll();
                }
            }
            if (!isObsolete.getAsBoolean() && !reports.awaitAcknowledged(ACKNOWLEDGE_TIME_MAX)) {
                Worker.log(Level.WARNING, () -> "the last reports of a worker were not acknowledged in time", null);
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
