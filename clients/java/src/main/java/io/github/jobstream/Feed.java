package io.github.jobstream;

import io.github.jobstream.v1.JobChange;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.WatchJobsRequest;
import io.github.jobstream.v1.WatchJobsResponse;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * An iterator over the state changes of all jobs that match a filter, in order, each once. It ends when it is closed.
 *
 * <p>It connects when the first item is requested. If a stream breaks, is rejected with a transient error or misses three
 * heartbeats, the feed resumes after the last cursor. Changes that the server does not retain are one {@link FeedItem.Gap}:
 * after a restart of the server, and if the reader was too slow or away for too long. One thread reads; any thread may close
 * the feed.
 *
 * <p>Reading throws {@link UnavailableException} if the server was unavailable for the duration of the client's patience, and
 * {@link WaitInterruptedException} if the thread is interrupted; reading may continue after that.
 */
public final class Feed implements Iterator<FeedItem>, AutoCloseable {
    private final WatchJobsRequest filter;
    private final ResumingStream<WatchJobsRequest, WatchJobsResponse> messages;
    /** The cursor of the last received message. */
    private String last;

    /** The cursor of the last item returned, or of a later heartbeat. */
    private String lastReturned;

    private FeedItem buffered;

    Feed(Calls calls, ChangeFilter filter, String afterCursor) {
        Duration heartbeat = calls.options().heartbeat;
        this.filter = filter.request().toBuilder()
                .setHeartbeat(Wire.duration(heartbeat))
                .build();
        messages = new ResumingStream<>(
                calls,
                JobServiceGrpc.getWatchJobsMethod(),
                this::request,
                UnaryOperator.identity(),
                "the stream ended",
                heartbeat);
        last = afterCursor;
        lastReturned = afterCursor;
    }

    /** The cursor after the last item returned. Another feed can resume after it. Empty before the first message. */
    public String cursor() {
        return lastReturned;
    }

    /** Waits for the next item. Returns false once the feed is closed. */
    @Override
    public boolean hasNext() {
        while (buffered == null && !messages.isClosed()) {
            try {
                buffered = read();
            } catch (InterruptedException interrupted) {
                throw Blocking.interrupted(interrupted);
            }
        }
        if (buffered == null) {
            messages.end(false);
        }
        return buffered != null;
    }

    @Override
    public FeedItem next() {
        if (!hasNext()) {
            throw new NoSuchElementException("the feed was closed");
        }
        FeedItem item = buffered;
        buffered = null;
        lastReturned = last;
        return item;
    }

    /** The same items as a stream; closing it closes the feed. */
    public Stream<FeedItem> stream() {
        int traits = Spliterator.ORDERED | Spliterator.NONNULL;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(this, traits), false)
                .onClose(this::close);
    }

    @Override
    public void close() {
        messages.close();
    }

    private WatchJobsRequest request() {
        return filter.toBuilder().setAfterCursor(last).build();
    }

    /** The next item; null if the message has none or the stream broke. */
    private FeedItem read() throws InterruptedException {
        WatchJobsResponse message = messages.next();
        if (message == null) {
            return null;
        }
        last = message.getCursor();
        FeedItem item = item(message);
        if (item == null) {
            lastReturned = last;
        }
        return item;
    }

    /** The item of a message; null for a heartbeat, and for a type that this client does not know. */
    private static FeedItem item(WatchJobsResponse message) {
        return switch (message.getMessageCase()) {
            case CHANGE -> change(message.getChange());
            case GAP -> new FeedItem.Gap(message.getGap().getMissed());
            case HEARTBEAT, MESSAGE_NOT_SET -> null;
        };
    }

    private static FeedItem change(JobChange change) {
        if (!(EventReader.read(change.getEvent()) instanceof JobEvent.StateChange event)) {
            return null;
        }
        Optional<String> owner = Optional.of(change.getOwner()).filter(name -> !name.isEmpty());
        return new FeedItem.Change(
                change.getJobId(), change.getQueue(), change.getKind(), change.getLabelsMap(), owner, event);
    }
}
