package io.github.jobstream;

import io.github.jobstream.v1.Assignment;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.LongSupplier;

/** Starts, cancels and tracks the attempts of one worker. */
final class AttemptRunner {
    /** Delay before a job is assigned again whose attempt the executor rejected. */
    private static final Duration REJECTED_PAUSE = Duration.ofSeconds(1);

    private final Map<String, HandlerEntry> handlers;
    private final List<HandlerInterceptor> interceptors;
    private final Executor executor;
    private final ReportBuffer reports;
    private final FailureLog failures;
    /** Attempts by lease; guarded by this object. */
    private final Map<String, Attempt> attempts = new HashMap<>();

    AttemptRunner(
            Map<String, HandlerEntry> handlers,
            List<HandlerInterceptor> interceptors,
            Executor executor,
            ReportBuffer reports,
            FailureLog failures) {
        this.handlers = handlers;
        this.interceptors = interceptors;
        this.executor = executor;
        this.reports = reports;
        this.failures = failures;
    }

    void run(Assignment assignment) {
        String lease = assignment.getLeaseId();
        if (!reports.begin(lease)) {
            return;
        }
        HandlerEntry handler = handlers.get(assignment.getKind());
        if (handler == null) {
            reports.end(lease, FinalReports.unknownKind(assignment.getKind()));
            return;
        }
        Attempt attempt = new Attempt(assignment, handler, interceptors, reports, failures, () -> remove(lease));
        synchronized (this) {
            attempts.put(lease, attempt);
        }
        try {
            executor.execute(attempt);
        } catch (RejectedExecutionException | OutOfMemoryError rejected) {
            // OutOfMemoryError also means that no thread can be created. The attempt did not start, so it is released.
            Worker.log(
                    Level.WARNING,
                    () -> "the executor rejected an attempt, which is released: " + rejected.getMessage(),
                    null);
            reports.end(lease, FinalReports.release(REJECTED_PAUSE));
            remove(lease);
        }
    }

    void stop(String lease, Attempt.Stop why) {
        Attempt attempt;
        synchronized (this) {
            attempt = attempts.get(lease);
        }
        if (attempt != null) {
            attempt.stop(why);
        }
    }

    /** Requests every handler to stop. Their attempts are released. */
    void stopAll() {
        List<Attempt> running;
        synchronized (this) {
            running = new ArrayList<>(attempts.values());
        }
        running.forEach(attempt -> attempt.stop(Attempt.Stop.RELEASED));
    }

    /** Releases the attempts of handlers that do not stop. */
    void abandonAll() {
        List<String> leases;
        synchronized (this) {
            leases = new ArrayList<>(attempts.keySet());
        }
        leases.forEach(lease -> reports.abandon(lease, FinalReports.release(Duration.ZERO)));
    }

    /**
     * Waits until no attempt is running, at most until this time of {@link System#nanoTime}, which may change
     * meanwhile.
     */
    synchronized boolean awaitIdle(LongSupplier deadlineNanos) throws InterruptedException {
        while (!attempts.isEmpty()) {
            long leftNanos = deadlineNanos.getAsLong() - System.nanoTime();
            if (leftNanos <= 0) {
                return false;
            }
            wait(leftNanos / 1_000_000 + 1);
        }
        return true;
    }

    /** Makes the waiters of {@link #awaitIdle} check their deadline again. */
    synchronized void wake() {
        notifyAll();
    }

    private synchronized void remove(String lease) {
        attempts.remove(lease);
        notifyAll();
    }
}
