package io.github.jobstream;

import io.github.jobstream.v1.Hello;
import io.github.jobstream.v1.WorkRequest;
import io.github.jobstream.v1.WorkResponse;
import io.github.jobstream.v1.WorkerServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.time.Duration;

/**
 * One Work stream of a worker. Requests are built from the report buffer while gRPC is ready to send. One thread sends
 * at a time.
 */
final class WorkStream {
    private final ReportBuffer reports;
    private final Link link;
    private final ReceiveQueue<WorkRequest, WorkResponse> received = new ReceiveQueue<>(this::pump);
    private final StreamObserver<WorkRequest> requests;
    /** Guarded by this object. True from Welcome until the request side is closed. */
    private boolean isOpen;

    private boolean hasEnded;

    private WorkStream(ReportBuffer reports, Link link) {
        this.reports = reports;
        this.link = link;
        var call = link.newCall(WorkerServiceGrpc.getWorkMethod(), CallOptions.DEFAULT);
        requests = ClientCalls.asyncBidiStreamingCall(call, received);
    }

    /** Opens a stream and sends Hello. */
    static WorkStream open(ReportBuffer reports, Link link, Hello hello) {
        WorkStream stream = new WorkStream(reports, link);
        stream.requests.onNext(
                WorkRequest.newBuilder().setHello(reports.beginStream(hello)).build());
        return stream;
    }

    /** The next item; null after this time. */
    ReceiveQueue.Item<WorkResponse> next(Duration limit) throws InterruptedException {
        return received.next(limit);
    }

    /** Allows requests after Welcome was received. */
    void open() {
        synchronized (this) {
            isOpen = !hasEnded;
        }
        reports.onChange(this::pump);
        pump();
    }

    /** Closes the request side after all buffered reports were sent. */
    synchronized void finish() {
        pump();
        if (isOpen) {
            isOpen = false;
            requests.onCompleted();
        }
    }

    /** Cancels the stream. */
    void close(String why, boolean isIdle) {
        synchronized (this) {
            isOpen = false;
            if (hasEnded) {
                return;
            }
            hasEnded = true;
        }
        received.cancel(why);
        if (isIdle) {
            link.replaceConnection();
        }
        link.release();
    }

    /** Sends the buffered requests. */
    void wake() {
        pump();
    }

    private synchronized void pump() {
        while (isOpen && received.requests().isReady()) {
            WorkRequest request = reports.nextRequest();
            if (request == null) {
                return;
            }
            requests.onNext(request);
        }
    }
}
