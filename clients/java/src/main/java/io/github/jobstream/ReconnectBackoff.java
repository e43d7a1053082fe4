package io.github.jobstream;

import java.time.Duration;

/** Back-off of a watch or a long poll. Gives up when the server has not responded for the duration of patience. */
final class ReconnectBackoff {
    private final Duration patience;
    private final Backoff backoff;
    private Long failingSinceNanos;

    ReconnectBackoff(ClientOptions options) {
        patience = options.patience;
        backoff = new Backoff(options);
    }

    /** Records a response from the server and resets the back-off. */
    void reset() {
        failingSinceNanos = null;
        backoff.reset();
    }

    /**
     * The delay before the next connection.
     *
     * @throws JobstreamException the error, if it is not transient or patience has passed
     */
    Duration nextDelay(JobstreamException error, long nowNanos) {
        if (!Errors.isTransient(error) && !(error instanceof DeadlineExceededException)) {
            throw error;
        }
        if (failingSinceNanos == null) {
            failingSinceNanos = nowNanos;
        }
        Duration failingFor = Duration.ofNanos(nowNanos - failingSinceNanos);
        Duration pause = backoff.next(error.retryAfter().orElse(null));
        if (failingFor.plus(pause).compareTo(patience) > 0) {
            throw Errors.retriesExhausted(error, "%.1f s without a response".formatted(failingFor.toMillis() / 1e3));
        }
        return pause;
    }
}
