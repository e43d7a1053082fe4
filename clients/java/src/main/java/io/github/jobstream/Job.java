package io.github.jobstream;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JavaType;
import io.github.jobstream.v1.CancelRequest;
import io.github.jobstream.v1.GetResultRequest;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.Outcome;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/**
 * A job whose result is read as a {@code T}. A handle only: letting go of it changes nothing for the job. Safe for use
 * by several threads.
 *
 * @param <T> type of the result
 */
public final class Job<T> {
    /** A server that does not answer at all is given this long, however short the wait. */
    private static final Duration ANSWER_MIN = Duration.ofSeconds(1);

    private final Client client;
    private final String id;
    private final JavaType type;
    private final CompletableFuture<String> bootId;

    Job(Client client, String id, JavaType type, CompletableFuture<String> bootId) {
        this.client = client;
        this.id = id;
        this.type = type;
        this.bootId = bootId;
    }

    /** The job's id. */
    public String id() {
        return id;
    }

    /**
     * The result, once there is one. Waits as long as that takes, across lost connections. Interrupting the thread ends
     * the wait and never the job.
     *
     * @throws JobFailedException if the job ended FAILED
     * @throws JobCancelledException if the job ended CANCELLED
     * @throws JobNotFoundException if there is no such job; a {@link ServerRestartedException} if a restart lost it
     * @throws ResultExpiredException if its result is past its retention
     * @throws ResultMismatchException if the result is no {@code T}
     * @throws UnavailableException if the server was away for all of the client's patience
     * @throws WaitInterruptedException if the thread is interrupted
     */
    public T result() {
        return read(payload());
    }

    /**
     * The result, once there is one, as {@link #result()}, waiting for at most this long.
     *
     * @throws NotFinishedException if this time passed; the job goes on
     */
    public T result(Duration timeout) {
        return read(payload(timeout));
    }

    /** The result as it is; waits and throws as {@link #result()}. */
    public Payload payload() {
        return settled(Waits.on(outcome(null)));
    }

    /** The result as it is; waits and throws as {@link #result(Duration)}. */
    public Payload payload(Duration timeout) {
        Duration limit = timeout.compareTo(ANSWER_MIN) > 0 ? timeout : ANSWER_MIN;
        Outcome outcome = Waits.on(outcome(timeout), limit);
        if (outcome == null) {
            throw ResultWait.notFinished(id, timeout);
        }
        return settled(outcome);
    }

    /**
     * The result as a future, which ends as {@link #result()} does and holds no thread. Cancelling it ends the wait and
     * never the job.
     */
    public CompletableFuture<T> toFuture() {
        CompletableFuture<Outcome> wait = outcome(null);
        // Elsewhere, so that what callers hang on it does not hold up the client's own threads.
        CompletableFuture<T> result = wait.thenApplyAsync(outcome -> read(settled(outcome)));
        result.whenComplete((value, error) -> wait.cancel(false));
        return result;
    }

    /** The job's events from the start, live, to the one that ends it. */
    public Watch watch() {
        return watch(0);
    }

    /** The job's events with a larger sequence, live, to the one that ends it. */
    public Watch watch(long afterSequence) {
        return watch(afterSequence, client.calls().options().heartbeat);
    }

    /**
     * The job's events with a larger sequence, as {@link #watch(long)}, with a heartbeat of its own: 1 s to 1 h; a stream
     * that was silent for three of them is opened anew.
     */
    public Watch watch(long afterSequence, Duration heartbeat) {
        if (afterSequence < 0 || afterSequence > 0xFFFF_FFFFL) {
            throw new IllegalArgumentException(
                    "afterSequence is " + afterSequence + ": use the sequence of an event, or 0 for all");
        }
        return new Watch(client.calls(), id, bootId, afterSequence, heartbeat);
    }

    /**
     * Where the job is now.
     *
     * @throws JobNotFoundException as {@link #result()} tells it
     */
    public JobState state() {
        GetResultRequest request = GetResultRequest.newBuilder().setJobId(id).build();
        return Wire.state(explained(client.calls().call(JobServiceGrpc.getGetResultMethod(), request))
                .getState());
    }

    /**
     * Ends the job. A running handler gets 10 s to stop. Cancelling a cancelled job is fine. Answers the state:
     * CANCELLED, or RUNNING while the handler stops.
     *
     * @param reason for people, at most 1 KiB; kept in the job's outcome
     * @throws IllegalJobStateException if the job ended otherwise
     */
    public JobState cancel(String reason) {
        return cancel(CancelRequest.newBuilder().setReason(reason));
    }

    /** Ends the job, as {@link #cancel(String)}, giving a running handler this long to stop: 0 to 1 h. */
    public JobState cancel(String reason, Duration grace) {
        return cancel(CancelRequest.newBuilder().setReason(reason).setGrace(Wire.duration(grace)));
    }

    private JobState cancel(CancelRequest.Builder request) {
        var answer = client.calls()
                .call(JobServiceGrpc.getCancelMethod(), request.setJobId(id).build());
        return Wire.state(explained(answer).getState());
    }

    private <A> A explained(CompletableFuture<A> answer) {
        try {
            return Waits.on(answer);
        } catch (JobNotFoundException error) {
            throw BootId.explain(error, id, bootId, client.calls().address());
        }
    }

    private CompletableFuture<Outcome> outcome(Duration timeout) {
        return new ResultWait(client.calls(), id, bootId, timeout).start();
    }

    /** The result of a job that ended like this, as {@link #result()}. */
    T ended(Outcome outcome) {
        return read(settled(outcome));
    }

    private Payload settled(Outcome outcome) {
        return switch (outcome.getEndCase()) {
            case RESULT -> Payload.of(outcome.getResult());
            case FAILURE -> throw new JobFailedException(id, Wire.failure(outcome.getFailure()));
            case CANCELLATION -> {
                var cancellation = outcome.getCancellation();
                throw new JobCancelledException(id, cancellation.getReason(), cancellation.getForced());
            }
            case END_NOT_SET ->
                throw new JobstreamException(ErrorFacts.of(
                        Status.Code.INTERNAL,
                        "",
                        "job " + id
                                + " ended in a way that this client cannot read: use a client as new as the server"));
        };
    }

    private T read(Payload payload) {
        try {
            @SuppressWarnings("unchecked") // The type was made from that of T.
            T result = (T) client.codec().decode(payload, type);
            return result;
        } catch (JsonProcessingException error) {
            String message = "the result of job " + id + " is no " + type.toCanonical() + ": " + Codec.describe(error)
                    + " (content type " + payload.contentType() + ")";
            throw new ResultMismatchException(
                    ErrorFacts.of(Status.Code.UNKNOWN, "", message).withCause(error));
        }
    }

    @Override
    public String toString() {
        return "Job[" + id + "]";
    }
}
