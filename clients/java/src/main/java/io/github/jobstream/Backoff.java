package io.github.jobstream;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/** The pauses of one series of tries: bounds that double, and of each a random part. */
final class Backoff {
    private final Duration first;
    private final Duration longest;
    private Duration bound;

    Backoff(Duration first, Duration longest) {
        this.first = first;
        this.longest = longest;
        reset();
    }

    Backoff(ClientOptions options) {
        this(options.firstPause, options.longestPause);
    }

    void reset() {
        bound = min(first, longest);
    }

    /** The next pause: chance, so that those who lost the same server do not come back together, on what it asks for. */
    Duration next(Duration asked) {
        return next(asked, ThreadLocalRandom.current().nextDouble());
    }

    /** The next pause with this share, 0 to 1, of its bound. */
    Duration next(Duration asked, double share) {
        Duration pause = Duration.ofNanos((long) (bound.toNanos() * share));
        bound = min(bound.multipliedBy(2), longest);
        return asked == null ? pause : pause.plus(asked);
    }

    private static Duration min(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }
}
