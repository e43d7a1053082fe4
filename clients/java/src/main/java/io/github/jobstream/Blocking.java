package io.github.jobstream;

import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Blocks the calling thread for a future. An interrupt ends the wait and leaves the interrupt status set. */
final class Blocking {
    private static final Duration LONGEST = Duration.ofDays(3650);

    private Blocking() {}

    /** Converts to nanoseconds, limited to ten years so that sums do not overflow. */
    static long nanos(Duration duration) {
        return duration.compareTo(LONGEST) > 0 ? LONGEST.toNanos() : duration.toNanos();
    }

    static <A> A await(CompletableFuture<A> future) {
        try {
            return future.get();
        } catch (InterruptedException interrupted) {
            future.cancel(false);
            throw interrupted(interrupted);
        } catch (ExecutionException failed) {
            throw raise(failed);
        }
    }

    /** Waits at most this long; null after it. */
    static <A> A await(CompletableFuture<A> future, Duration limit) {
        try {
            return future.get(nanos(limit), TimeUnit.NANOSECONDS);
        } catch (TimeoutException passed) {
            future.cancel(false);
            return null;
        } catch (InterruptedException interrupted) {
            future.cancel(false);
            throw interrupted(interrupted);
        } catch (ExecutionException failed) {
            throw raise(failed);
        }
    }

    static WaitInterruptedException interrupted(InterruptedException cause) {
        Thread.currentThread().interrupt();
        return new WaitInterruptedException(
                ErrorDetails.of(Status.Code.CANCELLED, "", "the waiting thread was interrupted; the job continues")
                        .withCause(cause));
    }

    /** The error with the stack trace of the caller instead of the thread that completed the future. */
    private static RuntimeException raise(ExecutionException failed) {
        if (failed.getCause() instanceof JobstreamException error) {
            error.fillInStackTrace();
            return error;
        }
        return new IllegalStateException(failed.getCause());
    }
}
