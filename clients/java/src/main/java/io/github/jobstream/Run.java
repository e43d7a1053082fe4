package io.github.jobstream;

import io.github.jobstream.v1.EventType;
import io.github.jobstream.v1.JobEvent;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.JobSpec;
import io.github.jobstream.v1.Outcome;
import io.github.jobstream.v1.RunRequest;
import io.github.jobstream.v1.RunResponse;
import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.stub.ClientCalls;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/**
 * Submits a job and follows it to its end in one call, so that no retention is too short to see it. The rule is that of
 * clients/README.md, "Submit and wait": a Run stream until the submit was answered, then, should that break, a watch.
 */
final class Run {
    private static final List<EventType> TYPES = List.of(EventType.EVENT_TYPE_STATE_CHANGE);

    private final Calls calls;
    private final JobSpec spec;
    private final Supplier<CompletableFuture<String>> askBoot;
    /** The longest it may take; null for no limit. */
    private final Duration wait;

    private final long endNanos;
    private final Duration heartbeat;
    private CompletableFuture<String> bootId = BootId.UNKNOWN;
    private boolean isSubmitted;
    private long last;
    private Outcome outcome;

    Run(Calls calls, JobSpec spec, Supplier<CompletableFuture<String>> askBoot, Duration wait) {
        this.calls = calls;
        this.spec = spec;
        this.askBoot = askBoot;
        this.wait = wait;
        endNanos = System.nanoTime() + (wait == null ? Long.MAX_VALUE / 2 : Waits.nanos(wait));
        heartbeat = calls.options().heartbeat;
    }

    /** Waits for the end of the job. */
    Outcome outcome() {
        try {
            JobstreamException broken = submit();
            if (outcome == null) {
                JobstreamException why = BootId.explain(broken, spec.getJobId(), bootId, calls.address());
                pause(new Endurance(calls.options()).bear(why, System.nanoTime()));
                watch();
            }
            return outcome;
        } catch (InterruptedException interrupted) {
            throw Waits.interrupted(interrupted);
        }
    }

    /** Answers what broke the stream over which the submit was answered; null if it came to the end of the job. */
    private JobstreamException submit() throws InterruptedException {
        Backoff backoff = new Backoff(calls.options());
        long deadlineNanos = System.nanoTime() + Waits.nanos(calls.options().callTimeout);
        for (int done = 1; ; done++) {
            JobstreamException error = follow(deadlineNanos);
            if (error == null || isSubmitted) {
                return error;
            }
            if (!Errors.isTransient(error)) {
                throw error;
            }
            Duration pause = backoff.next(error.retryAfter().orElse(null));
            if (done >= calls.options().tries || System.nanoTime() + pause.toNanos() >= deadlineNanos) {
                throw done == 1 ? error : Errors.givenUp(error, done + " tries");
            }
            pause(pause);
        }
    }

    /** One stream. Answers what broke it; null if it came to the end of the job. */
    private JobstreamException follow(long openByNanos) throws InterruptedException {
        if (calls.isClosed()) {
            throw calls.closedError();
        }
        bootId = askBoot.get();
        Link link = calls.connection().forHeldCall();
        Inbox<RunRequest, RunResponse> inbox = new Inbox<>(() -> {});
        try {
            begin(link, inbox);
            while (outcome == null) {
                Inbox.Item<RunResponse> item = inbox.next(patience(openByNanos));
                if (item == null) {
                    throwIfLate();
                    link.abandonConnection();
                    return Errors.unreachable(calls.address(), "the stream fell silent", null);
                }
                if (item.isEnd()) {
                    return broken(item.error());
                }
                isSubmitted = true;
                take(item.message());
            }
            return null;
        } finally {
            if (outcome == null) {
                inbox.cancel("the run has left it");
            }
            link.release();
        }
    }

    private void begin(Link link, Inbox<RunRequest, RunResponse> inbox) {
        RunRequest request = RunRequest.newBuilder()
                .setJob(spec)
                .addAllTypes(TYPES)
                .setHeartbeat(Wire.duration(heartbeat))
                .build();
        // Not under the deadline of somebody else's call in which it may have begun.
        Context previous = Context.ROOT.attach();
        try {
            var call = link.fresh().newCall(JobServiceGrpc.getRunMethod(), CallOptions.DEFAULT);
            ClientCalls.asyncServerStreamingCall(call, request, inbox);
        } finally {
            Context.ROOT.detach(previous);
        }
    }

    private void take(RunResponse message) {
        switch (message.getMessageCase()) {
            case EVENT -> take(message.getEvent());
            case GAP -> last = Math.max(last, EventReader.gap(message.getGap()).to());
            case SUBMITTED, HEARTBEAT, MESSAGE_NOT_SET -> {}
        }
    }

    private void take(JobEvent event) {
        last = Math.max(last, EventReader.sequence(event.getSequence()));
        if (event.hasStateChange() && event.getStateChange().hasOutcome()) {
            outcome = event.getStateChange().getOutcome();
        }
    }

    private JobstreamException broken(Throwable error) {
        if (calls.isClosed()) {
            throw calls.closedError();
        }
        // The server ends a stream well only after the event that ends the job: something between us did it.
        return error == null
                ? Errors.unreachable(calls.address(), "the stream ended before the job", null)
                : Errors.of(error, calls.address());
    }

    /** How long the stream at hand may be silent. */
    private Duration patience(long openByNanos) {
        long silenceNanos = isSubmitted
                ? Waits.nanos(heartbeat.multipliedBy(Watch.HEARTBEATS_MISSED_MAX))
                : openByNanos - System.nanoTime();
        return Duration.ofNanos(Math.max(0, Math.min(silenceNanos, leftNanos())));
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
            throw late();
        }
    }

    private void pause(Duration pause) throws InterruptedException {
        long nanos = Math.min(Waits.nanos(pause), leftNanos());
        Thread.sleep(Duration.ofNanos(Math.max(0, nanos)).toMillis());
        throwIfLate();
    }

    private void throwIfLate() {
        if (leftNanos() <= 0) {
            throw late();
        }
    }

    private long leftNanos() {
        return endNanos - System.nanoTime();
    }

    private JobstreamException late() {
        if (isSubmitted) {
            return ResultWait.notFinished(spec.getJobId(), wait);
        }
        return new DeadlineExceededException(ErrorFacts.of(
                Status.Code.DEADLINE_EXCEEDED,
                "",
                "the submit of job " + spec.getJobId() + " was not answered within " + wait.toMillis()
                        + " ms: run it again with the same jobId"));
    }
}
