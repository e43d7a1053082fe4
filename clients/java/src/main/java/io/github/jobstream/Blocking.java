package io.github.jobstream;

import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Blocks a thread for an answer. Interrupting it ends the wait, and leaves the thread interrupted. */
final class Waits {
    private static final Duration LONGEST = Duration.ofDays(3650);

    private Waits() {}

    /** As nanoseconds; more than ten years are ten, so that sums stay in their range. */
    static long nanos(Duration duration) {
        return duration.compareTo(LONGEST) > 0 ? LONGEST.toNanos() : duration.toNanos();
    }

    static <A> A on(CompletableFuture<A> answer) {
        try {
            return answer.get();
        } catch (InterruptedException interrupted) {
            answer.cancel(false);
            throw interrupted(interrupted);
        } catch (ExecutionException failed) {
            throw raise(failed);
        }
    }

    /** Waits for at most this long; null when it passed. */
    static <A> A on(CompletableFuture<A> answer, Duration limit) {
        try {
            return answer.get(nanos(limit), TimeUnit.NANOSECONDS);
        } catch (TimeoutException passed) {
            answer.cancel(false);
            return null;
        } catch (InterruptedException interrupted) {
            answer.cancel(false);
            throw interrupted(interrupted);
        } catch (ExecutionException failed) {
            throw raise(failed);
        }
    }

    static WaitInterruptedException interrupted(InterruptedException cause) {
        Thread.currentThread().interrupt();
        return new WaitInterruptedException(
                ErrorFacts.of(Status.Code.CANCELLED, "", "the thread was interrupted while it waited; the job goes on")
                        .withCause(cause));
    }

    /** The error with the stack of the one who waited: that of the thread which brought it tells nothing. */
    private static RuntimeException raise(ExecutionException failed) {
        if (failed.getCause() instanceof JobstreamException error) {
            error.fillInStackTrace();
            return error;
        }
        return new IllegalStateException(failed.getCause());
    }
}
