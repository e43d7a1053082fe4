package io.github.jobstream;

import io.github.jobstream.v1.EventType;
import io.github.jobstream.v1.Gap;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.Outcome;
import io.github.jobstream.v1.WatchResultRequest;
import io.github.jobstream.v1.WatchResultResponse;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CompletableFuture;
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
    private final String jobId;
    private final Duration heartbeat;
    private final List<EventType> types;
    private final ResumingStream<WatchResultRequest, WatchResultResponse> messages;
    /** The last received sequence. */
    private long last;

    private long lastReturned;
    private JobEvent buffered;
    private boolean isOver;
    private Outcome outcome;

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
        this.jobId = jobId;
        messages = new ResumingStream<>(
                calls,
                JobServiceGrpc.getWatchResultMethod(),
                this::request,
                error -> BootId.detectRestart(error, jobId, bootId, calls.address()),
                "the stream ended before the job ended",
                heartbeat);
        last = afterSequence;
        lastReturned = afterSequence;
    }

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
        while (buffered == null && !isOver && !messages.isClosed()) {
            try {
                buffered = read();
            } catch (InterruptedException interrupted) {
                throw Blocking.interrupted(interrupted);
            }
        }
        if (buffered == null) {
            messages.end(isOver);
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
        messages.close();
    }

    /** The next event; null if the message has no new event or the stream broke. */
    private JobEvent read() throws InterruptedException {
        WatchResultResponse message = messages.next();
        return message == null ? null : advance(message);
    }

    private WatchResultRequest request() {
        return WatchResultRequest.newBuilder()
                .setJobId(jobId)
                .setAfterSequence((int) last)
                .addAllTypes(types)
                .setHeartbeat(Wire.duration(heartbeat))
                .build();
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
