package io.github.jobstream;

import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.time.Duration;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Queues the received messages of a stream. It holds a few messages; then gRPC flow control stops the sender. */
final class ReceiveQueue<Q, A> implements ClientResponseObserver<Q, A> {
    private static final int MESSAGES_MAX = 16;

    private final LinkedBlockingQueue<Item<A>> items = new LinkedBlockingQueue<>();
    private final Runnable onReady;
    private volatile ClientCallStreamObserver<Q> requests;

    ReceiveQueue(Runnable onReady) {
        this.onReady = onReady;
    }

    /** A message; or the end of the stream, with its error if there is one. */
    record Item<A>(A message, Throwable error) {
        boolean isEnd() {
            return message == null;
        }
    }

    /** Sends requests; null before the call has started. */
    ClientCallStreamObserver<Q> requests() {
        return requests;
    }

    /** The next item; null after this time. */
    Item<A> next(Duration limit) throws InterruptedException {
        Item<A> item = items.poll(Blocking.nanos(limit), TimeUnit.NANOSECONDS);
        if (item != null && !item.isEnd()) {
            requests.request(1);
        }
        return item;
    }

    /** Cancels the call. The end follows the queued messages. */
    void cancel(String why) {
        requests.cancel(why, null);
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<Q> requests) {
        this.requests = requests;
        requests.disableAutoRequestWithInitial(MESSAGES_MAX);
        requests.setOnReadyHandler(onReady);
    }

    @Override
    public void onNext(A message) {
        items.add(new Item<>(message, null));
    }

    @Override
    public void onError(Throwable error) {
        items.add(new Item<>(null, error));
    }

    @Override
    public void onCompleted() {
        items.add(new Item<>(null, null));
    }
}
