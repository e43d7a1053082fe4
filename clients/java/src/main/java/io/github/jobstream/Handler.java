package io.github.jobstream;

/**
 * Runs the jobs of one kind, each on a thread of its own.
 *
 * <p>An exception fails the attempt, which is retried according to the retry policy of the job: {@link
 * PermanentException} prevents a retry, {@link RetryLaterException} sets its delay. A cancellation interrupts the
 * thread; an exception that follows does not count as a failure.
 *
 * @param <I> type of the input
 * @param <O> type of the result
 */
@FunctionalInterface
public interface Handler<I, O> {
    /** Returns the result of the job. It is encoded as JSON, bytes are sent as bytes, a {@link Payload} unchanged. */
    O handle(I input, JobContext context) throws Exception;
}
