package io.github.jobstream;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** Sends the calls of one client, and ends its waits when the client is closed. */
final class Calls implements AutoCloseable {
    private final Connection connection;
    private final ClientOptions options;
    private final ScheduledExecutorService timer = timer();
    /** Futures that may have waiters. */
    private final Set<CompletableFuture<?>> pending = ConcurrentHashMap.newKeySet();

    private volatile boolean closed;

    Calls(Connection connection, ClientOptions options) {
        this.connection = connection;
        this.options = options;
    }

    Connection connection() {
        return connection;
    }

    ClientOptions options() {
        return options;
    }

    String address() {
        return connection.address();
    }

    /** Sends an idempotent call and retries transient errors. */
    <Q, A> CompletableFuture<A> call(MethodDescriptor<Q, A> method, Q request) {
        return call(method, request, error -> null);
    }

    /**
     * Sends a call and retries transient errors. The server may have executed an attempt without a response: {@code
     * executed} then maps the error of a later attempt to the response that was lost, or to null.
     */
    <Q, A> CompletableFuture<A> call(
            MethodDescriptor<Q, A> method, Q request, Function<JobstreamException, A> executed) {
        return new CallRetries<>(this, method, request, CallOptions.DEFAULT, executed).start();
    }

    /** Sends an idempotent call with these headers and retries transient errors. */
    <Q, A> CompletableFuture<A> call(MethodDescriptor<Q, A> method, Q request, Metadata headers) {
        CallOptions callOptions = CallOptions.DEFAULT.withOption(CallHeaders.OF_CALL, headers);
        return new CallRetries<>(this, method, request, callOptions, error -> null).start();
    }

    /**
     * Sends a request once, and once more with a new token if it was refused for its token. Cancelling the future
     * cancels the call.
     */
    <Q, A> CompletableFuture<A> once(Link link, MethodDescriptor<Q, A> method, Q request, Duration limit) {
        return once(link, method, request, CallOptions.DEFAULT, limit);
    }

    <Q, A> CompletableFuture<A> once(
            Link link, MethodDescriptor<Q, A> method, Q request, CallOptions options, Duration limit) {
        CompletableFuture<A> response = new CompletableFuture<>();
        if (closed) {
            response.completeExceptionally(closedError());
            return response;
        }
        CallOptions limited = options.withDeadlineAfter(Blocking.nanos(limit), TimeUnit.NANOSECONDS);
        Runnable renew = connection.renewsToken() ? () -> send(link, method, request, limited, response, null) : null;
        send(link, method, request, limited, response, renew);
        return response;
    }

    /** Sends a request. {@code renew} sends it once more after a refused token, unless it is null. */
    private <Q, A> void send(
            Link link,
            MethodDescriptor<Q, A> method,
            Q request,
            CallOptions callOptions,
            CompletableFuture<A> response,
            Runnable renew) {
        ClientCall<Q, A> call = link.newCall(method, callOptions);
        response.whenComplete((value, error) -> {
            if (response.isCancelled()) {
                call.cancel("the future was cancelled", null);
            }
        });
        ClientCalls.asyncUnaryCall(call, request, new Response<>(response, address(), renew));
    }

    /** Runs this after a delay, unless the client is closed before. */
    void after(Duration pause, Runnable task) {
        try {
            timer.schedule(task, Blocking.nanos(pause), TimeUnit.NANOSECONDS);
        } catch (RejectedExecutionException closedMeanwhile) {
            // close has completed the future with an error.
        }
    }

    /** Makes close complete this future with an error. */
    @SuppressWarnings("CollectionUndefinedEquality") // Identity is intended.
    <A> CompletableFuture<A> track(CompletableFuture<A> wait) {
        pending.add(wait);
        wait.whenComplete((value, error) -> pending.remove(wait));
        if (closed) {
            wait.completeExceptionally(closedError());
        }
        return wait;
    }

    boolean isClosed() {
        return closed;
    }

    JobstreamException closedError() {
        return new JobstreamException(ErrorDetails.of(
                Status.Code.CANCELLED, "CLIENT_CLOSED", "the client of " + address() + " is closed: create a new one"));
    }

    @Override
    public void close() {
        closed = true;
        timer.shutdownNow();
        pending.forEach(wait -> wait.completeExceptionally(closedError()));
        connection.close();
    }

    private static ScheduledExecutorService timer() {
        ScheduledThreadPoolExecutor timer = new ScheduledThreadPoolExecutor(1, task -> {
            Thread thread = new Thread(task, "jobstream-timer");
            thread.setDaemon(true);
            return thread;
        });
        timer.setRemoveOnCancelPolicy(true);
        return timer;
    }

    /** Completes a future with the response of a call. */
    private record Response<A>(CompletableFuture<A> response, String address, Runnable renew)
            implements StreamObserver<A> {
        @Override
        public void onNext(A value) {
            response.complete(value);
        }

        @Override
        public void onError(Throwable error) {
            JobstreamException read = Errors.of(error, address);
            if (renew != null && Errors.isRefusedToken(read)) {
                renew.run();
            } else {
                response.completeExceptionally(read);
            }
        }

        @Override
        public void onCompleted() {
            if (!response.isDone()) {
                onError(new StatusRuntimeException(
                        Status.INTERNAL.withDescription("the call ended without a response")));
            }
        }
    }
}
