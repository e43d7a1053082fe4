package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.testing.TestServer;
import java.time.Instant;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class JobsTest {
    private static TestServer server;
    private static Client client;
    private static Worker worker;

    @BeforeAll
    static void start() {
        server = TestServer.start();
        client = server.connect();
        worker = Worker.builder(client)
                .handle("double", Integer.class, (number, context) -> 2 * number)
                .start();
    }

    @AfterAll
    static void stop() {
        worker.close();
        client.close();
        server.close();
    }

    private static List<String> ids(Jobs jobs) {
        return jobs.stream().map(JobView::id).collect(Collectors.toList());
    }

    @Test
    void aListHasAllPagesNewestFirst() {
        List<JobRequest> requests = IntStream.range(0, 450)
                .mapToObj(i -> JobRequest.of("unserved", i, options -> options.label("test", "pages")))
                .toList();
        List<String> expected = client.submitAll(requests).stream()
                .map(result -> result.job().id())
                .collect(Collectors.toList());
        Collections.reverse(expected);
        Jobs jobs = client.list(filter -> filter.label("test", "pages"));
        assertEquals(expected, ids(jobs));
        assertEquals(expected.get(0), jobs.iterator().next().id(), "each iterator starts again");
    }

    @Test
    void aListIsFiltered() {
        Instant start = client.get(client.submit("unserved", 0).id()).createTime();
        String one = client.submit("unserved", 1, Object.class, options -> options.queue("filters")
                        .labels(Map.of("test", "filters", "n", "1")))
                .id();
        String two = client.submit("double", 2, Integer.class, options -> options.queue("filters"))
                .id();
        client.job(two).result();
        assertEquals(List.of(two, one), ids(client.list(filter -> filter.queue("filters"))));
        assertEquals(
                List.of(one), ids(client.list(filter -> filter.queue("filters").kind("unserved"))));
        assertEquals(List.of(one), ids(client.list(filter -> filter.label("test", "filters")
                .label("n", "1"))));
        assertEquals(List.of(two), ids(client.list(filter -> filter.queue("filters")
                .states(JobState.SUCCEEDED, JobState.FAILED))));
        assertEquals(
                List.of(), ids(client.list(filter -> filter.queue("filters").createdBefore(start))));
        assertEquals(
                2,
                ids(client.list(filter -> filter.queue("filters").createdFrom(start)))
                        .size());
        assertThrows(IllegalArgumentException.class, () -> client.list(JobFilter::states));
        assertThrows(IllegalArgumentException.class, () -> client.list(filter -> filter.states(JobState.UNKNOWN)));
    }

    @Test
    void aJobOfAListHasItsFields() {
        String id = client.submit("double", 1, Integer.class, options -> options.label("test", "fields"))
                .id();
        client.job(id).result();
        JobView job =
                client.list(filter -> filter.label("test", "fields")).iterator().next();
        assertEquals(
                List.of(id, "double", "default", JobState.SUCCEEDED, 1, Map.of("test", "fields")),
                List.of(job.id(), job.kind(), job.queue(), job.state(), job.attempt(), job.labels()));
        assertTrue(!job.startTime().orElseThrow().isBefore(job.createTime()));
        assertTrue(!job.finishTime().orElseThrow().isBefore(job.startTime().orElseThrow()));
        assertEquals("JobView[" + id + ", kind double, queue default, SUCCEEDED]", job.toString());
    }

    @Test
    void aFinishedJobIsRetriedAndDeleted() {
        Job<Integer> job = client.submit("double", 4, Integer.class);
        assertEquals(8, job.result());
        Job<Integer> again = client.retry(job.id(), Integer.class);
        assertNotEquals(job.id(), again.id());
        assertEquals(8, again.result());
        client.delete(job.id());
        assertEquals(
                "NOT_FOUND",
                assertThrows(JobstreamException.class, job::state).code().name());
        assertThrows(JobstreamException.class, () -> client.delete(job.id()));
        assertEquals(JobState.SUCCEEDED, again.state());
    }

    @Test
    void aJobThatHasNotEndedIsNeitherRetriedNorDeleted() {
        String id = client.submit("unserved", 1).id();
        assertThrows(IllegalJobStateException.class, () -> client.retry(id));
        assertThrows(IllegalJobStateException.class, () -> client.delete(id));
        assertThrows(InvalidRequestException.class, () -> client.retry("order-123"));
        assertThrows(InvalidRequestException.class, () -> client.delete("order-123"));
    }

    @Test
    void aBatchHasAResultOrAnErrorForEachJob() {
        List<JobRequest> requests = List.of(
                JobRequest.of("double", 1),
                JobRequest.of("no spaces", 2),
                JobRequest.of("double", 3, options -> options.jobId("order-123")),
                JobRequest.of("double", new Object()),
                JobRequest.of("double", 5));
        List<SubmitResult<Integer>> results = client.submitAll(requests, Integer.class);
        assertEquals(
                List.of(false, true, true, true, false),
                results.stream().map(result -> result.error().isPresent()).toList());
        assertEquals(2, results.get(0).job().result());
        assertEquals(10, results.get(4).job().result());
        assertEquals(requests.get(4).jobId(), results.get(4).job().id());
        for (SubmitResult<Integer> result : results.subList(1, 4)) {
            assertInstanceOf(InvalidRequestException.class, result.error().orElseThrow());
            assertThrows(InvalidRequestException.class, result::job);
        }
        assertEquals(
                results.get(0).job().id(),
                client.submitAll(requests, Integer.class).get(0).job().id(),
                "the same request is the same job");
        assertEquals(List.of(), client.submitAll(List.of()));
    }

    @Test
    void aCallThatFailsIsTheErrorOfItsJobsAndTheLaterOnes() {
        try (Client unreachable = Client.connect("http://127.0.0.1:1", options -> options.tries(1))) {
            List<JobRequest> requests = IntStream.range(0, 1_500)
                    .mapToObj(i -> JobRequest.of("double", i))
                    .toList();
            List<SubmitResult<Object>> results = unreachable.submitAll(requests);
            assertEquals(1_500, results.size());
            results.forEach(result ->
                    assertInstanceOf(UnavailableException.class, result.error().orElseThrow()));
        }
    }

    @Test
    void aQueueIsListedPausedResumedAndPurged() {
        for (int i = 0; i < 3; i++) {
            client.submit("unserved", i, Object.class, options -> options.queue("admin"));
        }
        assertTrue(client.pauseQueue("admin").paused());
        assertEquals(Optional.of("QueueView[admin, 3 waiting, 0 running, paused]"), queue("admin"));
        assertFalse(client.resumeQueue("admin").paused());
        assertEquals(3, client.purgeQueue("admin"));
        assertEquals(
                3,
                client.list(filter -> filter.queue("admin").states(JobState.CANCELLED)).stream()
                        .count());
        var error = assertThrows(JobstreamException.class, () -> client.resumeQueue("missing"));
        assertEquals("QUEUE_NOT_FOUND", error.reason());
    }

    private static Optional<String> queue(String name) {
        return client.queues().stream()
                .filter(queue -> queue.name().equals(name))
                .map(QueueView::toString)
                .findFirst();
    }
}
