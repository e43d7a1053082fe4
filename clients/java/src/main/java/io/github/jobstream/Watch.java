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
 * The events of one job, in order, none twice, none missed; it ends after the event that ends the job.
 *
 * <p>It connects when the first event is asked for. A stream that is cut, refused for now or silent for three heartbeats
 * is opened anew after the last event that was read. Close it to let go of the connection; that changes nothing for the
 * job. One thread reads it; any thread may close it, which ends it for the reader.
 *
 * <p>Reading throws {@link JobNotFoundException}, {@link ResultExpiredException} or {@link ServerRestartedException} if
 * the job is not there, {@link UnavailableException} when the server was away for all of the client's patience, and
 * {@link WaitInterruptedException} when the thread is interrupted: reading may go on after it.
 */
public final class Watch implements Iterator<JobEvent>, AutoCloseable {
    static final int HEARTBEATS_MISSED_MAX = 3;

    private final Calls calls;
    private final String jobId;
    private final CompletableFuture<String> bootId;
    private final Endurance endurance;
    private final Duration heartbeat;
    private final List<EventType> types;
    private final CountDownLatch closed = new CountDownLatch(1);
    /** Sequence after which the next stream begins. */
    private long last;

    private long told;
    private JobEvent ahead;
    private boolean isOver;
    private Outcome outcome;
    private volatile Open open;

    Watch(Calls calls, String jobId, CompletableFuture<String> bootId, long afterSequence, Duration heartbeat) {
        this(calls, jobId, bootId, afterSequence, heartbeat, List.of());
    }

    /** A watch of these types of events; of all, if there are none. */
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
        endurance = new Endurance(calls.options());
        last = afterSequence;
        told = afterSequence;
    }

    /** A stream and the connection it came over. */
    private record Open(Inbox<WatchResultRequest, WatchResultResponse> inbox, Link link) {}

    /** How the job ended; null before the event that ends it was read. */
    Outcome outcome() {
        return outcome;
    }

    /** Sequence of the newest event that was read: another watch can go on after it. */
    public long lastSequence() {
        return told;
    }

    /** Waits for the next event; false after the one that ends the job, and once the watch was closed. */
    @Override
    public boolean hasNext() {
        while (ahead == null && !isOver && closed.getCount() > 0) {
            try {
                ahead = read();
            } catch (InterruptedException interrupted) {
                throw Waits.interrupted(interrupted);
            }
        }
        if (ahead == null) {
            leave();
        }
        return ahead != null;
    }

    @Override
    public JobEvent next() {
        if (!hasNext()) {
            throw new NoSuchElementException("the watch of job " + jobId + " has ended");
        }
        JobEvent event = ahead;
        ahead = null;
        told = event.sequence();
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
            opened.inbox.cancel("the watch was closed");
        }
    }

    /** The next event, or null if what came tells nothing new. */
    private JobEvent read() throws InterruptedException {
        try {
            WatchResultResponse message = message();
            endurance.renew();
            return unseen(message);
        } catch (JobstreamException error) {
            leave();
            if (closed.getCount() == 0) {
                return null;
            }
            if (calls.isClosed()) {
                throw calls.closedError();
            }
            JobstreamException explained = BootId.explain(error, jobId, bootId, calls.address());
            Duration pause = endurance.bear(explained, System.nanoTime());
            closed.await(Waits.nanos(pause), TimeUnit.NANOSECONDS);
            return null;
        }
    }

    /** The next message of the stream at hand, or of a new one. */
    private WatchResultResponse message() throws InterruptedException {
        if (open == null) {
            open = open();
            if (closed.getCount() == 0) {
                open.inbox.cancel("the watch was closed");
            }
        }
        var item = open.inbox.next(heartbeat.multipliedBy(HEARTBEATS_MISSED_MAX));
        if (item == null) {
            open.inbox.cancel("the stream fell silent");
            open.link.abandonConnection();
            throw Errors.unreachable(calls.address(), "the stream fell silent", null);
        }
        if (item.error() != null) {
            throw Errors.of(item.error(), calls.address());
        }
        if (item.isEnd()) {
            // The server ends a stream well only after the event that ends the job: something between us did it.
            throw Errors.unreachable(calls.address(), "the stream ended before the job", null);
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
        Link link = calls.connection().forHeldCall();
        Inbox<WatchResultRequest, WatchResultResponse> inbox = new Inbox<>(() -> {});
        // A watch outlives the call of somebody else in which it may have begun; it has no deadline of its own.
        Context previous = Context.ROOT.attach();
        try {
            var call = link.fresh().newCall(JobServiceGrpc.getWatchResultMethod(), CallOptions.DEFAULT);
            ClientCalls.asyncServerStreamingCall(call, request, inbox);
        } finally {
            Context.ROOT.detach(previous);
        }
        return new Open(inbox, link);
    }

    private void leave() {
        Open left = open;
        if (left != null) {
            open = null;
            if (!isOver) {
                left.inbox.cancel("the watch has left it");
            }
            left.link.release();
        }
    }

    private JobEvent unseen(WatchResultResponse message) {
        return switch (message.getMessageCase()) {
            case EVENT -> unseenEvent(message.getEvent());
            case GAP -> unseenGap(message.getGap());
            case HEARTBEAT, MESSAGE_NOT_SET -> null;
        };
    }

    private JobEvent unseenEvent(io.github.jobstream.v1.JobEvent event) {
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

    private JobEvent unseenGap(Gap wire) {
        JobEvent.Gap gap = EventReader.gap(wire);
        if (gap.to() <= last) {
            return null;
        }
        long from = Math.max(gap.from(), last + 1);
        last = gap.to();
        return new JobEvent.Gap(from, gap.to());
    }
}
