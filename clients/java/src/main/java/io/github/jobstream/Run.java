package io.github.jobstream;

import io.github.jobstream.v1.EventType;
import io.github.jobstream.v1.JobEvent;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.JobSpec;
import io.github.jobstream.v1.Outcome;
import io.github.jobstream.v1.RunRequest;
import io.github.jobstream.v1.RunResponse;
import io.grpc.CallOptions;
import io.grpc.Status;
import io.grpc.stub.ClientCalls;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/**
 * Submits a job and waits for its outcome in one call. The outcome is received even if the retention is 0.
 *
 * <p>clients/README.md, "Submit and wait", has the rule: a Run stream until the submit is acknowledged; if the stream
 * breaks after that, a watch.
 */
final class Run implements AutoCloseable {
    private static final List<EventType> TYPES = List.of(EventType.EVENT_TYPE_STATE_CHANGE);

    private final Calls calls;
    private final Supplier<CompletableFuture<String>> lookUpBoot;
    /** Limit of the wait; null for none. */
    private final Duration wait;

    private final long endNanos;
    private final Duration heartbeat;
    private JobSpec spec;
    private CompletableFuture<String> bootId = BootId.UNKNOWN;
    /** The open stream and its link; null if there is none. */
    private ReceiveQueue<RunRequest, RunResponse> received;

    private Link link;
    private boolean isSubmitted;
    private long last;
    private Outcome outcome;

    Run(Calls calls, Supplier<CompletableFuture<String>> lookUpBoot, Duration wait) {
        this.calls = calls;
        this.lookUpBoot = lookUpBoot;
        this.wait = wait;
        endNanos = System.nanoTime() + (wait == null ? Long.MAX_VALUE / 2 : Blocking.nanos(wait));
        heartbeat = calls.options().heartbeat;
    }

    /** Submits the job. Returns once the server has accepted it. */
    Submitted submit(JobSpec spec) {
        this.spec = spec;
        try {
            submit();
        } catch (InterruptedException interrupted) {
            throw Blocking.interrupted(interrupted);
        }
        return Submitted.of(spec.getJobId());
    }

    boolean isSubmitted() {
        return isSubmitted;
    }

    /** Waits for the outcome of the submitted job. */
    Outcome outcome() {
        try {
            JobstreamException broken = null;
            while (outcome == null && broken == null) {
                broken = read(0);
            }
            close();
            if (outcome == null) {
                JobstreamException why = BootId.detectRestart(broken, spec.getJobId(), bootId, calls.address());
                boolean renewsToken = calls.connection().renewsToken();
                pause(new ReconnectBackoff(calls.options(), renewsToken).nextDelay(why, System.nanoTime()));
                watch();
            }
            return outcome;
        } catch (InterruptedException interrupted) {
            throw Blocking.interrupted(interrupted);
        }
    }

    /** Closes the stream. The job continues. */
    @Override
    public void close() {
        if (link == null) {
            return;
        }
        if (outcome == null) {
            received.cancel("the run has ended");
        }
        link.release();
        link = null;
    }

    private void submit() throws InterruptedException {
        Backoff backoff = new Backoff(calls.options());
        long deadlineNanos = System.nanoTime() + Blocking.nanos(calls.options().callTimeout);
        boolean mayRenewToken = calls.connection().renewsToken();
        for (int attempts = 1; ; attempts++) {
            JobstreamException error = open(deadlineNanos);
            if (error == null) {
                return;
            }
            if (mayRenewToken && Errors.isRefusedToken(error)) {
                mayRenewToken = false;
                continue;
            }
            if (!Errors.isTransient(error)) {
                throw error;
            }
            Duration pause = backoff.next(error.retryAfter().orElse(null));
            if (attempts >= calls.options().tries || System.nanoTime() + pause.toNanos() >= deadlineNanos) {
                throw attempts == 1 ? error : Errors.retriesExhausted(error, attempts + " tries");
            }
            pause(pause);
        }
    }

    /** Opens a stream and reads its first message. Returns the error that broke it, or null. */
    private JobstreamException open(long openByNanos) throws InterruptedException {
        if (calls.isClosed()) {
            throw calls.closedError();
        }
        bootId = lookUpBoot.get();
        link = calls.connection().forLongCall();
        received = new ReceiveQueue<>(() -> {});
        try {
            begin();
            return read(openByNanos);
        } finally {
            if (!isSubmitted) {
                close();
            }
        }
    }

    /** Reads one message. Returns the error that broke the stream, or null. */
    private JobstreamException read(long openByNanos) throws InterruptedException {
        ReceiveQueue.Item<RunResponse> item = received.next(receiveTimeout(openByNanos));
        if (item == null) {
            throwIfTimedOut();
            link.replaceConnection();
            return Errors.unreachable(calls.address(), "the stream timed out", null);
        }
        if (item.isEnd()) {
            return streamError(item.error());
        }
        isSubmitted = true;
        take(item.message());
        return null;
    }

    private void begin() {
        RunRequest request = RunRequest.newBuilder()
                .setJob(spec)
                .addAllTypes(TYPES)
                .setHeartbeat(Wire.duration(heartbeat))
                .build();
        var call = link.newCall(JobServiceGrpc.getRunMethod(), CallOptions.DEFAULT);
        ClientCalls.asyncServerStreamingCall(call, request, received);
    }

    private void take(RunResponse message) {
        switch (message.getMessageCase()) {
            case EVENT -> take(message.getEvent());
            case GAP -> last = Math.max(last, EventReader.gap(message.getGap()).last());
            case SUBMITTED, HEARTBEAT, MESSAGE_NOT_SET -> {}
        }
    }

    private void take(JobEvent event) {
        last = Math.max(last, EventReader.sequence(event.getSequence()));
        if (event.hasStateChange() && event.getStateChange().hasOutcome()) {
            outcome = event.getStateChange().getOutcome();
        }
    }

    private JobstreamException streamError(Throwable error) {
        if (calls.isClosed()) {
            throw calls.closedError();
        }
        // The server closes a stream without an error only after the final event. A proxy closed this one.
        return error == null
                ? Errors.unreachable(calls.address(), "the stream ended before the job ended", null)
                : Errors.of(error, calls.address());
    }

    /** How long to wait for the next message of the stream. */
    private Duration receiveTimeout(long openByNanos) {
        long idleNanos = isSubmitted
                ? Blocking.nanos(heartbeat.multipliedBy(ResumingStream.HEARTBEATS_MISSED_MAX))
                : openByNanos - System.nanoTime();
        return Duration.ofNanos(Math.max(0, Math.min(idleNanos, leftNanos())));
    }

    private void watch() {
        try (Watch watch = new Watch(calls, spec.getJobId(), bootId, last, heartbeat, TYPES)) {
            if (wait != null) {
                calls.after(Duration.ofNanos(Math.max(0, leftNanos())), watch::close);
            }
            while (watch.hasNext()) {
                watch.next();
            }
            outcome = watch.outcome();
        }
        if (outcome == null) {
            throw timedOut();
        }
    }

    private void pause(Duration pause) throws InterruptedException {
        long nanos = Math.min(Blocking.nanos(pause), leftNanos());
        Thread.sleep(Duration.ofNanos(Math.max(0, nanos)).toMillis());
        throwIfTimedOut();
    }

    private void throwIfTimedOut() {
        if (leftNanos() <= 0) {
            throw timedOut();
        }
    }

    private long leftNanos() {
        return endNanos - System.nanoTime();
    }

    private JobstreamException timedOut() {
        if (isSubmitted) {
            return ResultWait.notFinished(spec.getJobId(), wait);
        }
        return new DeadlineExceededException(ErrorDetails.of(
                Status.Code.DEADLINE_EXCEEDED,
                "",
                "no response to the submit of job " + spec.getJobId() + " within " + wait.toMillis()
                        + " ms: run it again with the same jobId"));
    }
}
