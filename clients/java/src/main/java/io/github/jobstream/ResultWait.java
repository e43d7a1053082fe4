package io.github.jobstream;

import io.github.jobstream.v1.GetResultRequest;
import io.github.jobstream.v1.GetResultResponse;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.Outcome;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/** Waits for the outcome of a job with long polls. Reconnects after lost connections and blocks no thread. */
final class ResultWait {
    /** Shortest time between two polls. A server with too many waiters responds early. */
    private static final Duration POLL_AGAIN = Duration.ofMillis(250);

    private final Calls calls;
    private final String jobId;
    private final CompletableFuture<String> bootId;
    private final ReconnectBackoff reconnect;
    private final CompletableFuture<Outcome> result = new CompletableFuture<>();
    /** Deadline of the wait, a time of {@link System#nanoTime}; null for none. */
    private final Long deadlineNanos;

    private volatile CompletableFuture<GetResultResponse> current;

    ResultWait(Calls calls, String jobId, CompletableFuture<String> bootId, Duration timeout) {
        this.calls = calls;
        this.jobId = jobId;
        this.bootId = bootId;
        reconnect = new ReconnectBackoff(calls.options());
        deadlineNanos = timeout == null ? null : System.nanoTime() + Blocking.nanos(timeout);
    }

    /** Starts the wait. Cancelling the future ends it; the job continues. */
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

    /** The exception of a wait that timed out. */
    static NotFinishedException notFinished(String jobId, Duration timeout) {
        return new NotFinishedException(ErrorDetails.of(
                Status.Code.DEADLINE_EXCEEDED,
                "",
                "job " + jobId + " has not ended within " + timeout.toMillis() + " ms: it continues"));
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
        Link link = calls.connection().forLongCall();
        CompletableFuture<GetResultResponse> call = calls.once(
                link,
                JobServiceGrpc.getGetResultMethod(),
                request,
                calls.options().callTimeout.plus(wait));
        current = call;
        if (result.isDone()) {
            call.cancel(false);
        }
        call.whenComplete((response, error) -> {
            link.release();
            if (error == null) {
                onResponse(response, startedNanos);
            } else if (!call.isCancelled()) {
                onError((JobstreamException) error, link);
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

    private void onResponse(GetResultResponse response, long startedNanos) {
        reconnect.reset();
        if (response.hasOutcome()) {
            result.complete(response.getOutcome());
        } else if (deadlineNanos != null && System.nanoTime() >= deadlineNanos) {
            result.complete(null);
        } else {
            Duration took = Duration.ofNanos(System.nanoTime() - startedNanos);
            calls.after(POLL_AGAIN.minus(took), this::poll);
        }
    }

    private void onError(JobstreamException error, Link link) {
        if (error instanceof DeadlineExceededException) {
            // The server responds to a poll before this deadline, so the connection is broken.
            link.replaceConnection();
        }
        try {
            JobstreamException converted = BootId.detectRestart(error, jobId, bootId, calls.address());
            calls.after(reconnect.nextDelay(converted, System.nanoTime()), this::poll);
        } catch (JobstreamException permanent) {
            result.completeExceptionally(permanent);
        }
    }
}
