package io.github.jobstream;

import io.github.jobstream.v1.GetResultRequest;
import io.github.jobstream.v1.GetResultResponse;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.Outcome;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/** Waits for the end of a job with long polls, across lost connections, without holding a thread. */
final class ResultWait {
    /** A server that answers a poll early, because it has too many waiters, is not asked again before this. */
    private static final Duration POLL_AGAIN = Duration.ofMillis(250);

    private final Calls calls;
    private final String jobId;
    private final CompletableFuture<String> bootId;
    private final Endurance endurance;
    private final CompletableFuture<Outcome> result = new CompletableFuture<>();
    /** When waiting ends, of {@link System#nanoTime}; null for never. */
    private final Long deadlineNanos;

    private volatile CompletableFuture<GetResultResponse> current;

    ResultWait(Calls calls, String jobId, CompletableFuture<String> bootId, Duration timeout) {
        this.calls = calls;
        this.jobId = jobId;
        this.bootId = bootId;
        endurance = new Endurance(calls.options());
        deadlineNanos = timeout == null ? null : System.nanoTime() + Waits.nanos(timeout);
    }

    /** Begins. Cancelling the result ends the wait; the job goes on. */
    CompletableFuture<Outcome> start() {
        calls.track(result).whenComplete((outcome, error) -> {
            CompletableFuture<GetResultResponse> running = current;
            if (running != null) {
                running.cancel(false);
            }
        });
        poll();
        return result;
    }

    /** The time for waiting passed. */
    static NotFinishedException notFinished(String jobId, Duration timeout) {
        return new NotFinishedException(ErrorFacts.of(
                Status.Code.DEADLINE_EXCEEDED,
                "",
                "job " + jobId + " has not ended within " + timeout.toMillis()
                        + " ms: it goes on; wait again, or cancel it"));
    }

    private void poll() {
        if (result.isDone()) {
            return;
        }
        long startedNanos = System.nanoTime();
        Duration wait = waitFor(startedNanos);
        GetResultRequest request = GetResultRequest.newBuilder()
                .setJobId(jobId)
                .setWait(Wire.duration(wait))
                .build();
        Link link = calls.connection().forHeldCall();
        CompletableFuture<GetResultResponse> answer = calls.once(
                link,
                JobServiceGrpc.getGetResultMethod(),
                request,
                calls.options().callTimeout.plus(wait));
        current = answer;
        if (result.isDone()) {
            answer.cancel(false);
        }
        answer.whenComplete((response, error) -> {
            link.release();
            if (error == null) {
                answered(response, startedNanos);
            } else if (!answer.isCancelled()) {
                failed((JobstreamException) error, link);
            }
        });
    }

    private Duration waitFor(long nowNanos) {
        Duration poll = calls.options().poll;
        if (deadlineNanos == null) {
            return poll;
        }
        Duration left = Duration.ofNanos(Math.max(0, deadlineNanos - nowNanos));
        return left.compareTo(poll) < 0 ? left : poll;
    }

    private void answered(GetResultResponse response, long startedNanos) {
        endurance.renew();
        if (response.hasOutcome()) {
            result.complete(response.getOutcome());
        } else if (deadlineNanos != null && System.nanoTime() >= deadlineNanos) {
            result.complete(null);
        } else {
            Duration took = Duration.ofNanos(System.nanoTime() - startedNanos);
            calls.after(POLL_AGAIN.minus(took), this::poll);
        }
    }

    private void failed(JobstreamException error, Link link) {
        if (error instanceof DeadlineExceededException) {
            // The server answers a poll long before: nothing comes over this connection.
            link.abandonConnection();
        }
        try {
            JobstreamException explained = BootId.explain(error, jobId, bootId, calls.address());
            calls.after(endurance.bear(explained, System.nanoTime()), this::poll);
        } catch (JobstreamException given) {
            result.completeExceptionally(given);
        }
    }
}
