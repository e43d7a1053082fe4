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

/** Runs the attempts of one worker. */
final class Desk {
    /** An executor that takes no attempt now gets the job again after this. */
    private static final Duration REJECTED_PAUSE = Duration.ofSeconds(1);

    private final Map<String, HandlerEntry> handlers;
    private final Executor executor;
    private final Ledger ledger;
    /** By lease; guarded by this object. */
    private final Map<String, Attempt> attempts = new HashMap<>();

    Desk(Map<String, HandlerEntry> handlers, Executor executor, Ledger ledger) {
        this.handlers = handlers;
        this.executor = executor;
        this.ledger = ledger;
    }

    void run(Assignment assignment) {
        String lease = assignment.getLeaseId();
        ledger.begin(lease);
        HandlerEntry handler = handlers.get(assignment.getKind());
        if (handler == null) {
            ledger.end(lease, AttemptEnds.unknownKind(assignment.getKind()));
            return;
        }
        Attempt attempt = new Attempt(assignment, handler, ledger, () -> forget(lease));
        synchronized (this) {
            attempts.put(lease, attempt);
        }
        try {
            executor.execute(attempt);
        } catch (RejectedExecutionException | OutOfMemoryError rejected) {
            // A system without a thread to give says the latter: what never started counts as no attempt.
            Worker.tell(
                    Level.WARNING,
                    () -> "the executor refused an attempt, which is given back: " + rejected.getMessage(),
                    null);
            ledger.end(lease, AttemptEnds.release(REJECTED_PAUSE));
            forget(lease);
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

    /** Has every handler stop; their jobs are given back. */
    void stopAll() {
        List<Attempt> running;
        synchronized (this) {
            running = new ArrayList<>(attempts.values());
        }
        running.forEach(attempt -> attempt.stop(Attempt.Stop.GIVEN_BACK));
    }

    /** Gives back the jobs of handlers that do not stop. */
    void abandonAll() {
        List<String> leases;
        synchronized (this) {
            leases = new ArrayList<>(attempts.keySet());
        }
        leases.forEach(lease -> ledger.abandon(lease, AttemptEnds.release(Duration.ZERO)));
    }

    /** Waits until no attempt runs, at most until this time of {@link System#nanoTime}, which may change meanwhile. */
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

    /** Has those who wait look at their deadline again. */
    synchronized void wake() {
        notifyAll();
    }

    private synchronized void forget(String lease) {
        attempts.remove(lease);
        notifyAll();
    }
}
