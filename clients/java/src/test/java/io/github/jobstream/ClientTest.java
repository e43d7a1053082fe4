package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.type.TypeReference;
import io.github.jobstream.testing.TestServer;
import io.github.jobstream.v1.AdminServiceGrpc;
import io.github.jobstream.v1.GetServerInfoRequest;
import io.github.jobstream.v1.RetryPolicy;
import io.grpc.Context;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class ClientTest {
    private static TestServer server;
    private static Client client;
    private static Worker worker;

    record Size(int width, int height) {}

    @BeforeAll
    static void start() {
        server = TestServer.start();
        client = server.connect();
        worker = Worker.builder(client)
                .slots(8)
                .handle("halve", Size.class, (size, context) -> new Size(size.width() / 2, size.height() / 2))
                .handle("list", Integer.class, (count, context) -> List.of(new Size(count, count)))
                .handle("fail", String.class, (message, context) -> {
                    throw new java.io.IOException(message);
                })
                .start();
    }

    @AfterAll
    static void stop() {
        worker.close();
        client.close();
        server.close();
    }

    /** Runs this on a thread of its own, interrupts it while it waits, and returns what it threw. */
    private static Throwable interrupted(Callable<?> wait) throws InterruptedException {
        CompletableFuture<Throwable> thrown = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                wait.call();
                thrown.complete(new AssertionError("the task returned"));
            } catch (Throwable error) {
                thrown.complete(
                        Thread.currentThread().isInterrupted() ? error : new AssertionError("not interrupted", error));
            }
        });
        thread.start();
        while (thread.getState() != Thread.State.TIMED_WAITING && thread.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
        thread.interrupt();
        return thrown.join();
    }

    @Test
    void resultsHaveTheirRequestedTypes() {
        assertEquals(
                new Size(2, 3),
                client.submit("halve", new Size(4, 6), Size.class).result());
        Job<List<Size>> list = client.submit("list", 7, new TypeReference<>() {}, options -> {});
        assertEquals(List.of(new Size(7, 7)), list.result());
        assertEquals(
                new Size(2, 3),
                client.job(client.submit("halve", new Size(4, 6)).id(), Size.class)
                        .result());
    }

    @Test
    void aMismatchedResultCanBeReadUndecoded() {
        Job<Integer> job = client.submit("halve", new Size(4, 6), Integer.class);
        var error = assertThrows(ResultMismatchException.class, job::result);
        assertTrue(error.getMessage().contains("cannot be decoded as java.lang.Integer"), error.getMessage());
        assertEquals("{\"width\":2,\"height\":3}", job.payload().asText());
    }

    @Test
    void aFailureHasTheExceptionAndTheStackTraceOfTheHandler() {
        Job<Object> job = client.submit("fail", "disk full");
        Failure failure = assertThrows(JobFailedException.class, job::result).failure();
        assertEquals("java.io.IOException", failure.type());
        assertEquals("disk full", failure.message());
        assertTrue(failure.details().asText().contains("at io.github.jobstream.ClientTest"));
    }

    @Test
    void theStackTraceOfAnErrorIsThatOfTheCaller() {
        Job<Object> job = client.submit("fail", "x");
        var error = assertThrows(JobFailedException.class, job::result);
        boolean isCaller = List.of(error.getStackTrace()).stream()
                .anyMatch(frame -> frame.getMethodName().equals("theStackTraceOfAnErrorIsThatOfTheCaller"));
        assertTrue(isCaller, () -> List.of(error.getStackTrace()).toString());
    }

    @Test
    void interruptingAWaitDoesNotCancelTheJob() throws Exception {
        Job<Object> job = client.submit("unserved", 1);
        assertInstanceOf(WaitInterruptedException.class, interrupted(job::result));
        assertInstanceOf(WaitInterruptedException.class, interrupted(() -> {
            try (Watch watch = job.watch(1)) {
                return watch.next();
            }
        }));
        assertEquals(JobState.QUEUED, job.state());
    }

    @Test
    void aWaitThatTimesOutDoesNotCancelTheJob() {
        Job<Object> job = client.submit("unserved", 1);
        assertThrows(NotFinishedException.class, () -> job.result(Duration.ZERO));
        assertThrows(NotFinishedException.class, () -> job.result(Duration.ofMillis(50)));
        assertEquals(JobState.QUEUED, job.state());
    }

    @Test
    void aFutureCompletesLikeItsJob() throws Exception {
        assertEquals(
                new Size(1, 1),
                client.submit("halve", new Size(2, 2), Size.class).toFuture().get());
        var failed = client.submit("fail", "x").toFuture();
        var error = assertThrows(ExecutionException.class, failed::get);
        assertInstanceOf(JobFailedException.class, error.getCause());
    }

    @Test
    void cancellingAFutureDoesNotCancelTheJob() {
        Job<Object> job = client.submit("unserved", 1);
        CompletableFuture<Object> future = job.toFuture();
        assertTrue(future.cancel(true));
        assertEquals(JobState.QUEUED, job.state());
    }

    @Test
    void closingTheClientEndsItsWaitsAndWatches() throws Exception {
        Client own = server.connect();
        Job<Object> job = own.submit("unserved", 1);
        CompletableFuture<Object> future = job.toFuture();
        Watch watch = job.watch();
        assertInstanceOf(JobEvent.StateChange.class, watch.next());
        own.close();
        var error = assertThrows(ExecutionException.class, future::get);
        assertEquals("CLIENT_CLOSED", ((JobstreamException) error.getCause()).reason());
        assertEquals(
                "CLIENT_CLOSED",
                assertThrows(JobstreamException.class, watch::hasNext).reason());
        assertEquals(
                "CLIENT_CLOSED",
                assertThrows(JobstreamException.class, job::state).reason());
        assertEquals(JobState.QUEUED, client.job(job.id()).state());
    }

    @Test
    void aWatchIsClosedFromAnyThread() throws Exception {
        Job<Object> job = client.submit("unserved", 1);
        Watch watch = job.watch();
        CountDownLatch begun = new CountDownLatch(1);
        CompletableFuture<Boolean> more = CompletableFuture.supplyAsync(() -> {
            watch.next();
            begun.countDown();
            return watch.hasNext();
        });
        begun.await();
        watch.close();
        assertFalse(more.get());
        assertEquals(1, watch.lastSequence());
    }

    @Test
    void aWatchCanBeReadAsAStream() {
        Job<Size> job = client.submit("halve", new Size(2, 2), Size.class);
        try (var events = job.watch().stream()) {
            List<JobState> states = events.filter(JobEvent.StateChange.class::isInstance)
                    .map(event -> ((JobEvent.StateChange) event).state())
                    .toList();
            assertEquals(List.of(JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED), states);
        }
    }

    @Test
    void aCancelledContextOfTheCallerDoesNotEndAWait() throws Exception {
        Job<Object> job = client.submit("unserved", 1);
        CompletableFuture<Object> future;
        try (Context.CancellableContext context = Context.current().withCancellation()) {
            future = context.call(job::toFuture);
        }
        job.cancel("enough");
        assertInstanceOf(
                JobCancelledException.class,
                assertThrows(ExecutionException.class, future::get).getCause());
    }

    @Test
    void aCallIsSentInACancelledContextOfTheCaller() throws Exception {
        client.submit("unserved", 1, Object.class, options -> options.queue("purged"));
        Context.CancellableContext context = Context.current().withCancellation();
        context.cancel(null);
        // It is not retried.
        assertEquals(1, context.call(() -> client.purgeQueue("purged")));
    }

    @Test
    void manyThreadsShareAClient() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(16);
        try {
            List<Future<Size>> results = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                Size size = new Size(2 * i, 0);
                results.add(threads.submit(
                        () -> client.submit("halve", size, Size.class).result(Duration.ofSeconds(20))));
            }
            for (int i = 0; i < 200; i++) {
                assertEquals(i, results.get(i).get(20, TimeUnit.SECONDS).width());
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void getReturnsTheWholeJobAndTheRawStubsWork() {
        Job<Object> job = client.submit("unserved", 1, Object.class, options -> options.label("a", "b"));
        assertEquals("b", client.get(job.id()).labels().get("a"));
        var info = AdminServiceGrpc.newBlockingStub(client.channel())
                .getServerInfo(GetServerInfoRequest.getDefaultInstance());
        assertEquals("memory", info.getMode());
    }

    @Test
    void aJobHasTheWholeRetryPolicy() {
        Job<Object> job = client.submit("unserved", 1, Object.class, options -> options.maxAttempts(5)
                .initialBackoff(Duration.ofMillis(250))
                .maxBackoff(Duration.ofMinutes(2))
                .backoffMultiplier(3)
                .backoffJitter(0)
                .maxLostAttempts(7));
        var expected = RetryPolicy.newBuilder()
                .setMaxAttempts(5)
                .setInitialBackoff(Wire.duration(Duration.ofMillis(250)))
                .setMaxBackoff(Wire.duration(Duration.ofMinutes(2)))
                .setMultiplier(3)
                .setJitter(0)
                .setMaxLostAttempts(7)
                .build();
        assertEquals(expected, client.get(job.id()).message().getSpec().getRetry());
    }

    @Test
    void everyViolationIsListed() {
        var error = assertThrows(
                InvalidRequestException.class,
                () -> client.submit("no spaces", 1, Object.class, options -> options.priority(1000)));
        assertEquals(
                List.of("job.kind", "job.priority"),
                error.violations().stream().map(Violation::field).sorted().toList());
    }
}
