package io.github.jobstream;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JavaType;
import io.github.jobstream.v1.CancelRequest;
import io.github.jobstream.v1.GetResultRequest;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.Outcome;
import io.grpc.Status;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * A handle of a job whose result is a {@code T}. Dropping it does not change the job. It is thread-safe.
 *
 * @param <T> type of the result
 */
public final class Job<T> {
    /** Minimum time to wait for the response of a poll. */
    private static final Duration RESPONSE_TIME_MIN = Duration.ofSeconds(1);

    private final Client client;
    private final String id;
    private final JavaType type;
    private final CompletableFuture<String> bootId;
    private final Optional<WaitReason> waitReason;

    /** The handle of an id. */
    Job(Client client, String id, JavaType type) {
        this(client, id, type, BootId.UNKNOWN, Optional.empty());
    }

    /** The handle of a job that the server with this boot id accepted. */
    Job(Client client, String id, JavaType type, CompletableFuture<String> bootId, Optional<WaitReason> waitReason) {
        this.client = client;
        this.id = id;
        this.type = type;
        this.bootId = bootId;
        this.waitReason = waitReason;
    }

    /** The job's id. */
    public String id() {
        return id;
    }

    /**
     * Why the job waited when it was submitted: {@link WaitReason#NO_WORKER} if no connected worker served its kind in
     * its queue. Empty if it did not wait, and for the handle of an id.
     */
    public Optional<WaitReason> waitReason() {
        return waitReason;
    }

    /**
     * Waits until the job ends and returns its result. Reconnects if the connection breaks. Interrupting the thread
     * ends the wait and does not cancel the job.
     *
     * @throws JobFailedException if the job ended FAILED
     * @throws JobCancelledException if the job ended CANCELLED
     * @throws JobNotFoundException if there is no such job; a {@link ServerRestartedException} if a restart lost it
     * @throws ResultExpiredException if the result is no longer retained
     * @throws ResultMismatchException if the result cannot be decoded as {@code T}
     * @throws UnavailableException if the server was unavailable for the duration of the client's patience
     * @throws WaitInterruptedException if the thread is interrupted
     */
    public T result() {
        return read(payload());
    }

    /**
     * Waits for the result like {@link #result()}, with a timeout.
     *
     * @throws NotFinishedException if this time passed; the job continues
     */
    public T result(Duration timeout) {
        return read(payload(timeout));
    }

    /** The undecoded result; waits and throws like {@link #result()}. */
    public Payload payload() {
        return payloadOf(Blocking.await(outcome(null)));
    }

    /** The undecoded result; waits and throws like {@link #result(Duration)}. */
    public Payload payload(Duration timeout) {
        Duration limit = timeout.compareTo(RESPONSE_TIME_MIN) > 0 ? timeout : RESPONSE_TIME_MIN;
        Outcome outcome = Blocking.await(outcome(timeout), limit);
        if (outcome == null) {
            throw ResultWait.notFinished(id, timeout);
        }
        return payloadOf(outcome);
    }

    /**
     * A future of the result. It ends like {@link #result()} and blocks no thread. Cancelling it ends the wait and does
     * not cancel the job.
     */
    public CompletableFuture<T> toFuture() {
        CompletableFuture<Outcome> wait = outcome(null);
        // Runs on another executor, so that callbacks do not block the client's threads.
        CompletableFuture<T> result = wait.thenApplyAsync(outcome -> read(payloadOf(outcome)));
        result.whenComplete((value, error) -> wait.cancel(false));
        return result;
    }

    /** Watches the events of the job from the start, live, until it ends. */
    public Watch watch() {
        return watch(0);
    }

    /** Watches the events of the job after this sequence, live, until it ends. */
    public Watch watch(long afterSequence) {
        return watch(afterSequence, client.calls().options().heartbeat);
    }

    /**
     * Watches like {@link #watch(long)} with this heartbeat interval, 1 s to 1 h. After three missed heartbeats the
     * watch resumes on another connection.
     */
    public Watch watch(long afterSequence, Duration heartbeat) {
        if (afterSequence < 0 || afterSequence > 0xFFFF_FFFFL) {
            throw new IllegalArgumentException(
                    "afterSequence is " + afterSequence + ": must be the sequence of an event, or 0");
        }
        return new Watch(client.calls(), id, bootId, afterSequence, heartbeat);
    }

    /**
     * The current state of the job.
     *
     * @throws JobNotFoundException like {@link #result()}
     */
    public JobState state() {
        GetResultRequest request = GetResultRequest.newBuilder().setJobId(id).build();
        return Wire.state(await(client.calls().call(JobServiceGrpc.getGetResultMethod(), request))
                .getState());
    }

    /**
     * Cancels the job. A running handler has 10 s to stop. Cancelling a cancelled job succeeds. Returns CANCELLED, or
     * RUNNING while the handler is stopping.
     *
     * @param reason human-readable, at most 1 KiB; stored in the outcome
     * @throws IllegalJobStateException if the job already succeeded or failed
     */
    public JobState cancel(String reason) {
        return cancel(CancelRequest.newBuilder().setReason(reason));
    }

    /** Cancels the job like {@link #cancel(String)} with this time for a running handler to stop: 0 to 1 h. */
    public JobState cancel(String reason, Duration grace) {
        return cancel(CancelRequest.newBuilder().setReason(reason).setGrace(Wire.duration(grace)));
    }

    private JobState cancel(CancelRequest.Builder request) {
        var response = client.calls()
                .call(JobServiceGrpc.getCancelMethod(), request.setJobId(id).build());
        return Wire.state(await(response).getState());
    }

    private <A> A await(CompletableFuture<A> response) {
        try {
            return Blocking.await(response);
        } catch (JobNotFoundException error) {
            throw BootId.detectRestart(error, id, bootId, client.calls().address());
        }
    }

    private CompletableFuture<Outcome> outcome(Duration timeout) {
        return new ResultWait(client.calls(), id, bootId, timeout).start();
    }

    /** The result of an outcome; throws like {@link #result()}. */
    T resultOf(Outcome outcome) {
        return read(payloadOf(outcome));
    }

    private Payload payloadOf(Outcome outcome) {
        return switch (outcome.getEndCase()) {
            case RESULT -> Payload.of(outcome.getResult());
            case FAILURE -> throw new JobFailedException(id, Wire.failure(outcome.getFailure()));
            case CANCELLATION -> {
                var cancellation = outcome.getCancellation();
                throw new JobCancelledException(id, cancellation.getReason(), cancellation.getForced());
            }
            case END_NOT_SET ->
                throw new JobstreamException(ErrorDetails.of(
                        Status.Code.INTERNAL,
                        "",
                        "job " + id
                                + " ended in a way that this client cannot read: use a client as new as the server"));
        };
    }

    private T read(Payload payload) {
        try {
            @SuppressWarnings("unchecked") // The type was created from that of T.
            T result = (T) client.codec().decode(payload, type);
            return result;
        } catch (JsonProcessingException error) {
            String message = "the result of job " + id + " cannot be decoded as " + type.toCanonical() + ": "
                    + Codec.describe(error) + " (content type " + payload.contentType() + ")";
            throw new ResultMismatchException(
                    ErrorDetails.of(Status.Code.UNKNOWN, "", message).withCause(error));
        }
    }

    @Override
    public String toString() {
        return "Job[" + id + "]";
    }
}
