package io.github.jobstream;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/** Exponential back-off with full jitter. */
final class Backoff {
    private final Duration first;
    private final Duration longest;
    private Duration limit;

    Backoff(Duration first, Duration longest) {
        this.first = first;
        this.longest = longest;
        reset();
    }

    Backoff(ClientOptions options) {
        this(options.firstPause, options.longestPause);
    }

    void reset() {
        limit = min(first, longest);
    }

    /**
     * The next delay: a random part of the current back-off, plus the delay requested by the server. The jitter keeps
     * clients that lost the same server from reconnecting at the same time.
     */
    Duration next(Duration requested) {
        return next(requested, ThreadLocalRandom.current().nextDouble());
    }

    /** The next delay with this fraction, 0 to 1, of the current back-off. */
    Duration next(Duration requested, double fraction) {
        Duration pause = Duration.ofNanos((long) (limit.toNanos() * fraction));
        limit = min(limit.multipliedBy(2), longest);
        return requested == null ? pause : pause.plus(requested);
    }

    private static Duration min(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }
}
