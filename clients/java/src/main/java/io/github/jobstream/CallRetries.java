package io.github.jobstream;

import io.grpc.CallOptions;
import io.grpc.MethodDescriptor;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** Sends one call with retries, limited by their number and by one deadline. */
final class CallRetries<Q, A> {
    private final Calls calls;
    private final MethodDescriptor<Q, A> method;
    private final Q request;
    private final CallOptions options;
    private final Backoff backoff;
    private final long deadlineNanos;
    /** Maps the error after an attempt without a response to the response that was lost, or to null. */
    private final Function<JobstreamException, A> executed;

    private final CompletableFuture<A> result = new CompletableFuture<>();
    private volatile CompletableFuture<A> current;
    private int attempts;
    /** Whether an attempt may have been executed without a response. */
    private boolean hasLostResponse;

    CallRetries(
            Calls calls,
            MethodDescriptor<Q, A> method,
            Q request,
            CallOptions options,
            Function<JobstreamException, A> executed) {
        this.calls = calls;
        this.method = method;
        this.request = request;
        this.options = options;
        this.executed = executed;
        backoff = new Backoff(calls.options());
        deadlineNanos = System.nanoTime() + Blocking.nanos(calls.options().callTimeout);
    }

    /** Starts the call. Cancelling the future cancels the attempt in flight. */
    CompletableFuture<A> start() {
        calls.track(result).whenComplete((value, error) -> {
            CompletableFuture<A> running = current;
            if (running != null) {
                running.cancel(false);
            }
        });
        attempt();
        return result;
    }

    private void attempt() {
        if (result.isDone()) {
            return;
        }
        attempts++;
        CompletableFuture<A> attempt = calls.once(calls.connection().forShortCalls(), method, request, options, left());
        current = attempt;
        if (result.isDone()) {
            attempt.cancel(false);
        }
        attempt.whenComplete((value, error) -> {
            if (error == null) {
                result.complete(value);
            } else if (!attempt.isCancelled()) {
                onError((JobstreamException) error);
            }
        });
    }

    private void onError(JobstreamException error) {
        A lost = hasLostResponse ? executed.apply(error) : null;
        if (lost != null) {
            result.complete(lost);
            return;
        }
        hasLostResponse |= Errors.isUnreachable(error);
        retry(error);
    }

    private void retry(JobstreamException error) {
        if (!Errors.isTransient(error)) {
            result.completeExceptionally(error);
            return;
        }
        Duration pause = backoff.next(error.retryAfter().orElse(null));
        if (attempts >= calls.options().tries || pause.compareTo(left()) >= 0) {
            result.completeExceptionally(attempts == 1 ? error : Errors.retriesExhausted(error, attempts + " tries"));
            return;
        }
        calls.after(pause, this::attempt);
    }

    private Duration left() {
        return Duration.ofNanos(Math.max(0, deadlineNanos - System.nanoTime()));
    }
}
