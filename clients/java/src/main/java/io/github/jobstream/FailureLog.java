package io.github.jobstream;

import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.function.BiConsumer;

/** Logs the failed attempts of one worker: at most ten a second, and the number of the others. */
final class FailureLog {
    private static final int FAILURES_PER_SECOND_MAX = 10;
    private static final Duration SECOND = Duration.ofSeconds(1);

    /** Runs a task after a delay. */
    private final BiConsumer<Duration, Runnable> timer;
    /** Number of failed attempts in the current second; guarded by this object. */
    private int failures;

    FailureLog(BiConsumer<Duration, Runnable> timer) {
        this.timer = timer;
    }

    /** Logs what a handler threw. An input that cannot be decoded is not quoted. */
    void attemptFailed(JobContext context, Throwable thrown) {
        if (count() <= FAILURES_PER_SECOND_MAX) {
            Throwable stack = thrown instanceof FinalReports.BadInput ? null : thrown;
            Worker.log(Level.WARNING, () -> line(context, thrown), stack);
        }
    }

    /** Begins another second, and logs how many failed attempts of the last one were left out. */
    void flush() {
        int omitted;
        synchronized (this) {
            omitted = failures - FAILURES_PER_SECOND_MAX;
            failures = 0;
        }
        if (omitted > 0) {
            String limit = "at most " + FAILURES_PER_SECOND_MAX + " a second are logged";
            Worker.log(Level.WARNING, () -> omitted + " more attempts failed: " + limit, null);
        }
    }

    /** Counts a failure. Returns its number in the current second. */
    private synchronized int count() {
        if (failures == 0) {
            timer.accept(SECOND, this::flush);
        }
        failures++;
        return failures;
    }

    private static String line(JobContext context, Throwable thrown) {
        return "attempt failed: job=" + context.jobId() + " kind=" + context.kind() + " queue=" + context.queue()
                + " attempt=" + context.attempt() + " " + FinalReports.logFields(thrown);
    }
}
