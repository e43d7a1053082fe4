package io.github.jobstream;

import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;

/**
 * The last steps of a worker, or of its stay at a server that goes away: lets what runs finish in its time, gives back
 * the rest and waits until the server knows.
 */
final class WindUp {
    /** What handlers that were interrupted get to stop, before their jobs are given back without them. */
    private static final Duration STOP_TIME_MAX = Duration.ofSeconds(2);
    /** What the server gets to acknowledge the last reports. */
    private static final Duration SETTLE_TIME_MAX = Duration.ofSeconds(2);

    private final Desk desk;
    private final Ledger ledger;
    private final LongSupplier deadlineNanos;
    private final BooleanSupplier isMoot;

    /** Until this time of {@link System#nanoTime}, which may change meanwhile; given up once it is moot. */
    WindUp(Desk desk, Ledger ledger, LongSupplier deadlineNanos, BooleanSupplier isMoot) {
        this.desk = desk;
        this.ledger = ledger;
        this.deadlineNanos = deadlineNanos;
        this.isMoot = isMoot;
    }

    void run() {
        try {
            if (!desk.awaitIdle(deadlineNanos) && !isMoot.getAsBoolean()) {
                desk.stopAll();
                long stopNanos = System.nanoTime() + STOP_TIME_MAX.toNanos();
                if (!desk.awaitIdle(() -> stopNanos) && !isMoot.getAsBoolean()) {
                    desk.abandonAll();
                }
            }
            if (!isMoot.getAsBoolean() && !ledger.awaitSettled(SETTLE_TIME_MAX)) {
                Worker.tell(Level.WARNING, () -> "the last reports of a worker were not acknowledged in time", null);
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
