package io.github.jobstream;

import io.github.jobstream.v1.EventType;
import io.github.jobstream.v1.Gap;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.Outcome;
import io.github.jobstream.v1.WatchResultRequest;
import io.github.jobstream.v1.WatchResultResponse;
import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.stub.ClientCalls;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * An iterator over the events of one job, in order, each once. It ends after the final event.
 *
 * <p>It connects when the first event is requested. If a stream breaks, is rejected with a transient error or misses
 * three heartbeats, the watch resumes after the last event that was read. Closing the watch releases its connection and
 * does not change the job. One thread reads; any thread may close the watch.
 *
 * <p>Reading throws {@link JobNotFoundException}, {@link ResultExpiredException} or {@link ServerRestartedException} if
 * the job does not exist, {@link UnavailableException} if the server was unavailable for the duration of the client's
 * patience, and {@link WaitInterruptedException} if the thread is interrupted; reading may continue after that.
 */
public final class Watch implements Iterator<JobEvent>, AutoCloseable {
    static final int HEARTBEATS_MISSED_MAX = 3;

    private final Calls calls;
    private final String jobId;
    private final CompletableFuture<String> bootId;
    private final ReconnectBackoff reconnect;
    private final Duration heartbeat;
    private final List<EventType> types;
    private final CountDownLatch closed = new CountDownLatch(1);
    /** The last received sequence. */
    private long last;

    private long lastReturned;
    private JobEvent buffered;
    private boolean isOver;
    private Outcome outcome;
    private volatile Open open;

    Watch(Calls calls, String jobId, CompletableFuture<String> bootId, long afterSequence, Duration heartbeat) {
        this(calls, jobId, bootId, afterSequence, heartbeat, List.of());
    }

    /** A watch of these event types; empty means all. */
    Watch(
            Calls calls,
            String jobId,
            CompletableFuture<String> bootId,
            long afterSequence,
            Duration heartbeat,
            List<EventType> types) {
        this.types = types;
        this.heartbeat = heartbeat;
        this.calls = calls;
        this.jobId = jobId;
        this.bootId = bootId;
        reconnect = new ReconnectBackoff(calls.options());
        last = afterSequence;
        lastReturned = afterSequence;
    }

    /** A stream and its connection. */
    private record Open(ReceiveQueue<WatchResultRequest, WatchResultResponse> received, Link link) {}

    /** The outcome of the job; null before its final event was read. */
    Outcome outcome() {
        return outcome;
    }

    /** Sequence of the last event returned. Another watch can resume after it. */
    public long lastSequence() {
        return lastReturned;
    }

    /** Waits for the next event. Returns false after the final event, and once the watch is closed. */
    @Override
    public boolean hasNext() {
        while (buffered == null && !isOver && closed.getCount() > 0) {
            try {
                buffered = read();
            } catch (InterruptedException interrupted) {
                throw Blocking.interrupted(interrupted);
            }
        }
        if (buffered == null) {
            closeStream();
        }
        return buffered != null;
    }

    @Override
    public JobEvent next() {
        if (!hasNext()) {
            throw new NoSuchElementException("the watch of job " + jobId + " has ended");
        }
        JobEvent event = buffered;
        buffered = null;
        lastReturned = event.sequence();
        return event;
    }

    /** The same events as a stream; closing it closes the watch. */
    public Stream<JobEvent> stream() {
        int traits = Spliterator.ORDERED | Spliterator.NONNULL | Spliterator.DISTINCT;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(this, traits), false)
                .onClose(this::close);
    }

    @Override
    public void close() {
        closed.countDown();
        Open opened = open;
        if (opened != null) {
            opened.received.cancel("the watch was closed");
        }
    }

    /** The next event; null if the message has no new event or the stream broke. */
    private JobEvent read() throws InterruptedException {
        try {
            WatchResultResponse message = message();
            reconnect.reset();
            return advance(message);
        } catch (JobstreamException error) {
            closeStream();
            if (closed.getCount() == 0) {
                return null;
            }
            if (calls.isClosed()) {
                throw calls.closedError();
            }
            JobstreamException converted = BootId.detectRestart(error, jobId, bootId, calls.address());
            Duration pause = reconnect.nextDelay(converted, System.nanoTime());
            closed.await(Blocking.nanos(pause), TimeUnit.NANOSECONDS);
            return null;
        }
    }

    /** The next message. Opens a stream if there is none. */
    private WatchResultResponse message() throws InterruptedException {
        if (open == null) {
            open = open();
            if (closed.getCount() == 0) {
                open.received.cancel("the watch was closed");
            }
        }
        var item = open.received.next(heartbeat.multipliedBy(HEARTBEATS_MISSED_MAX));
        if (item == null) {
            open.received.cancel("the stream timed out");
            open.link.replaceConnection();
            throw Errors.unreachable(calls.address(), "the stream timed out", null);
        }
        if (item.error() != null) {
            throw Errors.of(item.error(), calls.address());
        }
        if (item.isEnd()) {
            // The server closes a stream without an error only after the final event. A proxy closed this one.
            throw Errors.unreachable(calls.address(), "the stream ended before the job ended", null);
        }
        return item.message();
    }

    private Open open() {
        WatchResultRequest request = WatchResultRequest.newBuilder()
                .setJobId(jobId)
                .setAfterSequence((int) last)
                .addAllTypes(types)
                .setHeartbeat(Wire.duration(heartbeat))
                .build();
        Link link = calls.connection().forLongCall();
        ReceiveQueue<WatchResultRequest, WatchResultResponse> received = new ReceiveQueue<>(() -> {});
        // The stream must not inherit the deadline or cancellation of a gRPC call that the current thread serves. It
        // has no deadline.
        Context previous = Context.ROOT.attach();
        try {
            var call = link.channelForCall().newCall(JobServiceGrpc.getWatchResultMethod(), CallOptions.DEFAULT);
            ClientCalls.asyncServerStreamingCall(call, request, received);
        } finally {
            Context.ROOT.detach(previous);
        }
        return new Open(received, link);
    }

    private void closeStream() {
        Open opened = open;
        if (opened != null) {
            open = null;
            if (!isOver) {
                opened.received.cancel("the watch closes the stream");
            }
            opened.link.release();
        }
    }

    private JobEvent advance(WatchResultResponse message) {
        return switch (message.getMessageCase()) {
            case EVENT -> advanceEvent(message.getEvent());
            case GAP -> advanceGap(message.getGap());
            case HEARTBEAT, MESSAGE_NOT_SET -> null;
        };
    }

    private JobEvent advanceEvent(io.github.jobstream.v1.JobEvent event) {
        long sequence = EventReader.sequence(event.getSequence());
        if (sequence <= last) {
            return null;
        }
        last = sequence;
        JobEvent read = EventReader.read(event);
        isOver = read instanceof JobEvent.StateChange change && change.state().isFinal();
        if (isOver) {
            outcome = event.getStateChange().getOutcome();
        }
        return read;
    }

    private JobEvent advanceGap(Gap wire) {
        JobEvent.Gap gap = EventReader.gap(wire);
        if (gap.last() <= last) {
            return null;
        }
        long first = Math.max(gap.first(), last + 1);
        last = gap.last();
        return new JobEvent.Gap(first, gap.last());
    }
}
