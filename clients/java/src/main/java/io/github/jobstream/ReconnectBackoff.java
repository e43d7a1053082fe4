package io.github.jobstream;

import java.time.Duration;

/** How long a watch or a wait has been without a word of the server, and how long it may be. */
final class Endurance {
    private final Duration patience;
    private final Backoff backoff;
    private Long lostSinceNanos;

    Endurance(ClientOptions options) {
        patience = options.patience;
        backoff = new Backoff(options);
    }

    /** The server spoke. */
    void renew() {
        lostSinceNanos = null;
        backoff.reset();
    }

    /**
     * The pause before the next try.
     *
     * @throws JobstreamException the error, if trying again does not help, or has not for as long as patience lasts
     */
    Duration bear(JobstreamException error, long nowNanos) {
        if (!Errors.isTransient(error) && !(error instanceof DeadlineExceededException)) {
            throw error;
        }
        if (lostSinceNanos == null) {
            lostSinceNanos = nowNanos;
        }
        Duration lostFor = Duration.ofNanos(nowNanos - lostSinceNanos);
        Duration pause = backoff.next(error.retryAfter().orElse(null));
        if (lostFor.plus(pause).compareTo(patience) > 0) {
            throw Errors.givenUp(error, "%.1f s without a word of it".formatted(lostFor.toMillis() / 1e3));
        }
        return pause;
    }
}
