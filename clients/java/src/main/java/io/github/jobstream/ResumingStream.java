package io.github.jobstream;

import io.grpc.CallOptions;
import io.grpc.MethodDescriptor;
import io.grpc.stub.ClientCalls;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * The messages of a call with a stream of responses, across connections. It connects when the first message is requested. If a
 * stream breaks, is rejected with a transient error or misses three heartbeats, the next request opens another. One thread
 * reads; any thread may close it.
 */
final class ResumingStream<Q, A> {
    static final int HEARTBEATS_MISSED_MAX = 3;

    private final Calls calls;
    private final MethodDescriptor<Q, A> method;
    /** The request of the next stream, which resumes after the last message. */
    private final Supplier<Q> request;
    /** Replaces the error of a stream by one that says more. */
    private final UnaryOperator<JobstreamException> explain;

    /** What the end of a stream without an error means. */
    private final String whyEnded;

    private final Duration heartbeat;
    private final ReconnectBackoff reconnect;
    private final CountDownLatch closed = new CountDownLatch(1);
    /** The open stream; null if there is none. The thread that takes it out releases its connection. */
    private final AtomicReference<Open<Q, A>> open = new AtomicReference<>();

    ResumingStream(
            Calls calls,
            MethodDescriptor<Q, A> method,
            Supplier<Q> request,
            UnaryOperator<JobstreamException> explain,
            String whyEnded,
            Duration heartbeat) {
        this.calls = calls;
        this.method = method;
        this.request = request;
        this.explain = explain;
        this.whyEnded = whyEnded;
        this.heartbeat = heartbeat;
        reconnect = new ReconnectBackoff(calls.options(), calls.connection().renewsToken());
    }

    /** A stream and its connection. */
    private record Open<Q, A>(ReceiveQueue<Q, A> received, Link link) {}

    /**
     * The next message; null if the stream broke and may be read again, or if it was closed.
     *
     * @throws JobstreamException an error that a retry does not help against
     */
    A next() throws InterruptedException {
        try {
            A message = message();
            reconnect.reset();
            return message;
        } catch (JobstreamException error) {
            end(false);
            if (isClosed()) {
                return null;
            }
            if (calls.isClosed()) {
                throw calls.closedError();
            }
            Duration pause = reconnect.nextDelay(explain.apply(error), System.nanoTime());
            closed.await(Blocking.nanos(pause), TimeUnit.NANOSECONDS);
            return null;
        }
    }

    boolean isClosed() {
        return closed.getCount() == 0;
    }

    /** Ends the stream. The reader opens no other. */
    void close() {
        closed.countDown();
        end(false);
    }

    /** Ends the open stream, if there is one. The server ends one that is complete. */
    void end(boolean isComplete) {
        Open<Q, A> opened = open.getAndSet(null);
        if (opened != null) {
            if (!isComplete) {
                opened.received.cancel("the reader ended the stream");
            }
            opened.link.release();
        }
    }

    /** The next message. Opens a stream if there is none. */
    private A message() throws InterruptedException {
        Open<Q, A> current = open.get();
        if (current == null) {
            current = open();
            open.set(current);
            if (isClosed()) {
                end(false);
            }
        }
        ReceiveQueue.Item<A> item = current.received.next(heartbeat.multipliedBy(HEARTBEATS_MISSED_MAX));
        if (item == null) {
            current.received.cancel("the stream timed out");
            current.link.replaceConnection();
            throw Errors.unreachable(calls.address(), "the stream timed out", null);
        }
        if (item.error() != null) {
            throw Errors.of(item.error(), calls.address());
        }
        if (item.isEnd()) {
            // The server closes a stream without an error only once it is complete. A proxy closed this one.
            throw Errors.unreachable(calls.address(), whyEnded, null);
        }
        return item.message();
    }

    private Open<Q, A> open() {
        Link link = calls.connection().forLongCall();
        ReceiveQueue<Q, A> received = new ReceiveQueue<>(() -> {});
        var call = link.newCall(method, CallOptions.DEFAULT);
        ClientCalls.asyncServerStreamingCall(call, request.get(), received);
        return new Open<>(received, link);
    }
}
