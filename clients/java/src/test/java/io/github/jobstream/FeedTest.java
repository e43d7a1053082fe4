package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** The feed of the changes of all jobs, through a proxy that breaks its connections. */
class FeedTest extends ProxyFixture {
    /** A cursor of another server. */
    private static final String FOREIGN = "1-1";

    /** A cursor before the next change. */
    private String begin() {
        try (Feed feed = direct.watchJobs(filter -> {}, FOREIGN)) {
            assertEquals(new FeedItem.Gap(0), feed.next());
            return feed.cursor();
        }
    }

    private static FeedItem.Change change(FeedItem item) {
        return (FeedItem.Change) item;
    }

    @Test
    void aFeedHasEveryChangeOnceAcrossConnectionCuts() {
        List<JobState> life = List.of(JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED);
        try (Worker worker = Worker.builder(direct)
                        .handle("echo", Integer.class, (n, context) -> n)
                        .start();
                Feed feed = cut.watchJobs(filter -> filter.kind("echo"), begin())) {
            for (int i = 0; i < 5; i++) {
                Job<Integer> job = direct.submit("echo", i, Integer.class);
                job.result();
                List<JobState> states = new ArrayList<>();
                while (states.size() < life.size()) {
                    FeedItem.Change change = change(feed.next());
                    assertEquals(job.id(), change.jobId());
                    states.add(change.event().state());
                }
                assertEquals(life, states);
                proxy.cut();
            }
        }
    }

    @Test
    void anotherFeedResumesAfterTheCursorOfTheLastItemReturned() {
        String cursor = begin();
        Job<Object> first = direct.submit("unserved", 1);
        Job<Object> second = direct.submit("unserved", 2);
        try (Feed feed = cut.watchJobs(filter -> {}, cursor)) {
            assertEquals(first.id(), change(feed.next()).jobId());
            cursor = feed.cursor();
            assertTrue(feed.hasNext(), "an item that is read and not returned");
            assertEquals(cursor, feed.cursor());
        }
        try (var items = cut.watchJobs(filter -> {}, cursor).stream()) {
            assertEquals(second.id(), change(items.findFirst().orElseThrow()).jobId());
        }
    }

    @Test
    void aFeedIsFiltered() {
        String cursor = begin();
        for (String part : List.of("1", "2")) {
            Job<Object> job = direct.submit("unserved", 1, Object.class, options -> options.queue("media")
                    .label("part", part)
                    .label("album", "summer"));
            job.cancel("");
        }
        Job<Object> elsewhere = direct.submit("unserved", 1);
        elsewhere.cancel("");
        try (Feed feed = cut.watchJobs(
                filter -> filter.states(JobState.CANCELLED)
                        .kind("unserved")
                        .queue("media")
                        .labels(Map.of("album", "summer"))
                        .label("part", "2"),
                cursor)) {
            FeedItem.Change change = change(feed.next());
            assertEquals("unserved", change.kind());
            assertEquals("media", change.queue());
            assertEquals(Map.of("album", "summer", "part", "2"), change.labels());
            assertEquals(Optional.empty(), change.owner());
            assertEquals(JobState.CANCELLED, change.event().state());
        }
        assertThrows(IllegalArgumentException.class, () -> cut.watchJobs(filter -> filter.states()));
        assertThrows(IllegalArgumentException.class, () -> cut.watchJobs(filter -> filter.states(JobState.UNKNOWN)));
    }

    @Test
    void changesAfterARestartFollowAGap() {
        String cursor = begin();
        Job<Object> before = direct.submit("unserved", 1);
        try (Feed feed = direct.watchJobs(filter -> {}, cursor)) {
            assertEquals(before.id(), change(feed.next()).jobId());
            restartServer();
            assertEquals(new FeedItem.Gap(0), feed.next());
            Job<Object> after = direct.submit("unserved", 2);
            assertEquals(after.id(), change(feed.next()).jobId());
        }
    }

    @Test
    void aFeedOfAnUnreachableServerFailsAfterThePatience() {
        server.close();
        try (Client impatient = Client.connect(server.address(), options -> options.patience(Duration.ofMillis(200)));
                Feed feed = impatient.watchJobs()) {
            assertThrows(UnavailableException.class, feed::next);
            assertEquals("", feed.cursor());
        }
    }

    @Test
    void closingAFeedEndsItsReaderAndReleasesTheConnection() throws Exception {
        Feed feed = cut.watchJobs();
        CompletableFuture<Boolean> read = CompletableFuture.supplyAsync(feed::hasNext);
        proxy.awaitConnection();
        feed.close();
        assertFalse(read.get());
        assertFalse(feed.hasNext());
        begin();
        for (Client client : List.of(cut, direct)) {
            assertEquals(0, client.calls().connection().forShortCalls().users);
        }
    }
}
