package io.github.jobstream;

/**
 * Runs the jobs of one kind, each on a thread of its own.
 *
 * <p>What it throws fails the attempt, and the job's retry policy says whether there is another: {@link
 * PermanentException} forbids that, {@link RetryLaterException} names the pause. A cancel interrupts the thread; what the
 * handler throws because of it counts as stopped, not as failed.
 *
 * @param <I> type of the input
 * @param <O> type of the result
 */
@FunctionalInterface
public interface Handler<I, O> {
    /** Answers the job's result: sent as JSON, bytes as bytes, a {@link Payload} as it is. */
    O handle(I input, JobContext context) throws Exception;
}
