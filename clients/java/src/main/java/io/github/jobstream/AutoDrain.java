package io.github.jobstream;

import java.time.Duration;

/**
 * Drains a worker on SIGTERM or SIGINT, so that the code after it still runs; or by a shutdown hook if signals cannot
 * be handled.
 */
interface AutoDrain extends AutoCloseable {
    /** Time for the thread that ran the worker to finish before the process exits. */
    Duration CALLER_TIME_MAX = Duration.ofSeconds(2);

    @Override
    void close();

    /** Drains this worker, which the current thread runs, until it is closed. */
    static AutoDrain of(Worker worker) {
        Signals signals = Signals.listen(worker::beginDrain, () -> worker.beginDrain(Duration.ZERO));
        return signals == null ? hook(worker, Thread.currentThread()) : signals::close;
    }

    private static AutoDrain hook(Worker worker, Thread caller) {
        Thread hook = Worker.thread("shutdown", false, () -> {
            worker.close();
            try {
                caller.join(CALLER_TIME_MAX.toMillis());
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        });
        Runtime.getRuntime().addShutdownHook(hook);
        return () -> {
            try {
                Runtime.getRuntime().removeShutdownHook(hook);
            } catch (IllegalStateException ending) {
                // The process is shutting down: the hook has drained the worker.
            }
        };
    }
}
