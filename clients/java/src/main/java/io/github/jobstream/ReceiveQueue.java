package io.github.jobstream;

import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.time.Duration;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** What came on a stream and was not read yet: a few messages, then gRPC's flow control holds the sender back. */
final class Inbox<Q, A> implements ClientResponseObserver<Q, A> {
    private static final int MESSAGES_MAX = 16;

    private final LinkedBlockingQueue<Item<A>> items = new LinkedBlockingQueue<>();
    private final Runnable onReady;
    private volatile ClientCallStreamObserver<Q> requests;

    Inbox(Runnable onReady) {
        this.onReady = onReady;
    }

    /** A message; or the end, with its error unless it was a good one. */
    record Item<A>(A message, Throwable error) {
        boolean isEnd() {
            return message == null;
        }
    }

    /** For sending; there once the call was started. */
    ClientCallStreamObserver<Q> requests() {
        return requests;
    }

    /** The next item; null if none came within this long. */
    Item<A> next(Duration limit) throws InterruptedException {
        Item<A> item = items.poll(Waits.nanos(limit), TimeUnit.NANOSECONDS);
        if (item != null && !item.isEnd()) {
            requests.request(1);
        }
        return item;
    }

    /** Ends the call; what came is followed by the end. */
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
