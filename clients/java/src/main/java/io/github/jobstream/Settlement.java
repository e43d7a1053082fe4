package io.github.jobstream;

import java.lang.System.Logger.Level;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The callbacks of {@link JobContext#onSettled} of an attempt whose handler has returned.
 *
 * @param context the context of the attempt; null without callbacks
 * @param callbacks the callbacks in the order of their registration
 */
record Settlement(JobContext context, List<Consumer<Optional<JobstreamException>>> callbacks) {
    /** Of an attempt without callbacks. */
    static final Settlement NONE = new Settlement(null, List.of());

    /**
     * Calls the callbacks. The caller holds no lock. A callback that throws is logged.
     *
     * @param error why the server does not use the end of the attempt, or why that is not known; null if it was recorded
     */
    void call(JobstreamException error) {
        for (Consumer<Optional<JobstreamException>> callback : callbacks) {
            try {
                callback.accept(Optional.ofNullable(error));
            } catch (RuntimeException | Error broken) {
                Worker.log(Level.WARNING, this::line, broken);
            }
        }
    }

    private String line() {
        return "a callback of onSettled failed: job=" + context.jobId() + " kind=" + context.kind() + " queue="
                + context.queue() + " attempt=" + context.attempt();
    }
}
