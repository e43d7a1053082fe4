package io.github.jobstream;

import io.github.jobstream.v1.Hello;
import io.github.jobstream.v1.WorkRequest;
import io.github.jobstream.v1.WorkResponse;
import io.github.jobstream.v1.WorkerServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.time.Duration;

/**
 * One connection of a worker. Requests are made from the ledger whenever gRPC is ready for another one; who has news
 * sends them, one thread at a time.
 */
final class WorkStream {
    private final Ledger ledger;
    private final Link link;
    private final Inbox<WorkRequest, WorkResponse> inbox = new Inbox<>(this::pump);
    private final StreamObserver<WorkRequest> requests;
    /** Guarded by this object: the server welcomed us, and the end was not begun. */
    private boolean isOpen;

    private boolean hasEnded;

    private WorkStream(Ledger ledger, Link link) {
        this.ledger = ledger;
        this.link = link;
        // It outlives the call of somebody else in which it may have begun; it has no deadline.
        Context previous = Context.ROOT.attach();
        try {
            var call = link.fresh().newCall(WorkerServiceGrpc.getWorkMethod(), CallOptions.DEFAULT);
            requests = ClientCalls.asyncBidiStreamingCall(call, inbox);
        } finally {
            Context.ROOT.detach(previous);
        }
    }

    /** Connects and greets. */
    static WorkStream open(Ledger ledger, Link link, Hello hello) {
        WorkStream stream = new WorkStream(ledger, link);
        stream.requests.onNext(
                WorkRequest.newBuilder().setHello(ledger.greet(hello)).build());
        return stream;
    }

    /** What came next; null if nothing did within this long. */
    Inbox.Item<WorkResponse> next(Duration limit) throws InterruptedException {
        return inbox.next(limit);
    }

    /** Everything may be sent from now on. */
    void welcomed() {
        synchronized (this) {
            isOpen = !hasEnded;
        }
        ledger.onNews(this::pump);
        pump();
    }

    /** Closes this side once everything was sent; the server ends the stream in turn. */
    synchronized void finish() {
        pump();
        if (isOpen) {
            isOpen = false;
            requests.onCompleted();
        }
    }

    /** Leaves the stream: nothing more is sent on it. */
    void leave(String why, boolean isSilent) {
        synchronized (this) {
            isOpen = false;
            if (hasEnded) {
                return;
            }
            hasEnded = true;
        }
        inbox.cancel(why);
        if (isSilent) {
            link.abandonConnection();
        }
        link.release();
    }

    /** Has what there is to tell sent. */
    void wake() {
        pump();
    }

    private synchronized void pump() {
        while (isOpen && inbox.requests().isReady()) {
            WorkRequest request = ledger.nextRequest();
            if (request == null) {
                return;
            }
            requests.onNext(request);
        }
    }
}
