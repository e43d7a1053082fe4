package io.github.jobstream;

import java.time.Duration;

/**
 * Drains a worker when the process is told to end: by signals, so that what comes after the worker still runs; or by a
 * shutdown hook where signals are not to be had.
 */
interface AutoDrain extends AutoCloseable {
    /** What the thread that ran the worker gets for what it does after it, before the process is gone. */
    Duration CALLER_TIME_MAX = Duration.ofSeconds(2);

    @Override
    void close();

    /** Minds this worker, which the present thread runs, until it is closed. */
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
                // The process ends: it is the hook that drained the worker.
            }
        };
    }
}
