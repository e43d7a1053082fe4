package io.github.jobstream;

import java.time.Duration;

/** Back-off of a watch or a long poll. Gives up when the server has not responded for the duration of patience. */
final class ReconnectBackoff {
    private final Duration patience;
    private final Backoff backoff;
    /** Whether a stream that is refused for its token is opened once more, because a supplier has a new one. */
    private final boolean renewsToken;

    private Long failingSinceNanos;
    private boolean isRefused;

    /** The back-off of calls that repeat themselves after a refused token, as {@link Calls#once} does. */
    ReconnectBackoff(ClientOptions options) {
        this(options, false);
    }

    /** The back-off of streams. */
    ReconnectBackoff(ClientOptions options, boolean renewsToken) {
        this.renewsToken = renewsToken;
        patience = options.patience;
        backoff = new Backoff(options);
    }

    /** Records a response from the server and resets the back-off. */
    void reset() {
        failingSinceNanos = null;
        isRefused = false;
        backoff.reset();
    }

    /**
     * The delay before the next connection.
     *
     * @throws JobstreamException the error, if it is not transient or patience has passed
     */
    Duration nextDelay(JobstreamException error, long nowNanos) {
        if (renewsToken && !isRefused && Errors.isRefusedToken(error)) {
            isRefused = true;
            return backoff.next(null);
        }
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
