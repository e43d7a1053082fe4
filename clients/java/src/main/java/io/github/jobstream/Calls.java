package io.github.jobstream;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Context;
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

/** The calls of one client: how each is sent, and what has to end when the client is closed. */
final class Calls implements AutoCloseable {
    private final Connection connection;
    private final ClientOptions options;
    private final ScheduledExecutorService timer = timer();
    /** What somebody may wait for. */
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

    /** A call that may arrive twice, tried again while the server is away or full. */
    <Q, A> CompletableFuture<A> call(MethodDescriptor<Q, A> method, Q request) {
        return new Tries<>(this, method, request).start();
    }

    /** Sends a request once; cancelling the answer cancels the call. */
    <Q, A> CompletableFuture<A> once(Link link, MethodDescriptor<Q, A> method, Q request, Duration limit) {
        CompletableFuture<A> answer = new CompletableFuture<>();
        if (closed) {
            answer.completeExceptionally(closedError());
            return answer;
        }
        CallOptions callOptions = CallOptions.DEFAULT.withDeadlineAfter(Waits.nanos(limit), TimeUnit.NANOSECONDS);
        // A wait outlives the call of somebody else in which it may have begun.
        Context previous = Context.ROOT.attach();
        try {
            ClientCall<Q, A> call = link.fresh().newCall(method, callOptions);
            answer.whenComplete((value, error) -> {
                if (answer.isCancelled()) {
                    call.cancel("nobody waits for it any more", null);
                }
            });
            ClientCalls.asyncUnaryCall(call, request, new Answer<>(answer, address()));
        } finally {
            Context.ROOT.detach(previous);
        }
        return answer;
    }

    /** Runs this after a pause, unless the client is closed before. */
    void after(Duration pause, Runnable task) {
        try {
            timer.schedule(task, Waits.nanos(pause), TimeUnit.NANOSECONDS);
        } catch (RejectedExecutionException closedMeanwhile) {
            // Whoever waits for it was told so by close.
        }
    }

    /** Has closing end this wait. */
    @SuppressWarnings("CollectionUndefinedEquality") // It is this very future that is meant.
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
        return new JobstreamException(ErrorFacts.of(
                Status.Code.CANCELLED, "CLIENT_CLOSED", "the client of " + address() + " is closed: use an open one"));
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

    /** Hands the answer of a call over. */
    private record Answer<A>(CompletableFuture<A> answer, String address) implements StreamObserver<A> {
        @Override
        public void onNext(A value) {
            answer.complete(value);
        }

        @Override
        public void onError(Throwable error) {
            answer.completeExceptionally(Errors.of(error, address));
        }

        @Override
        public void onCompleted() {
            if (!answer.isDone()) {
                onError(new StatusRuntimeException(
                        Status.INTERNAL.withDescription("the call ended without an answer")));
            }
        }
    }
}
