package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.testing.TestServer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class WorkerTest {
    private static TestServer server;
    private Client client;

    /** Messages from handlers to the test. */
    private final BlockingQueue<String> messages = new LinkedBlockingQueue<>();

    @BeforeAll
    static void start() {
        server = TestServer.start();
    }

    @AfterAll
    static void stop() {
        server.close();
    }

    @BeforeEach
    void connect() {
        client = server.connect();
    }

    @AfterEach
    void disconnect() {
        client.close();
    }

    private Object sleepForever(Object input, JobContext context) throws InterruptedException {
        messages.add("started");
        try {
            Thread.sleep(Long.MAX_VALUE);
        } catch (InterruptedException interrupted) {
            messages.add("interrupted, cancelled: " + context.isCancelled());
            throw interrupted;
        }
        return null;
    }

    @Test
    void aCancelInterruptsTheHandler() throws Exception {
        try (Worker worker = Worker.builder(client)
                .handle("sleep", Object.class, this::sleepForever)
                .start()) {
            Job<Object> job = client.submit("sleep", null);
            assertEquals("started", messages.take());
            job.cancel("enough");
            assertEquals("interrupted, cancelled: true", messages.take());
            var error = assertThrows(JobCancelledException.class, job::result);
            assertEquals("enough", error.cancelReason());
            assertFalse(error.forced());
        }
    }

    @Test
    void aHandlerThatDoesNotBlockCanCheckItsCancellation() throws Exception {
        try (Worker worker = Worker.builder(client)
                .handle("spin", Object.class, (input, context) -> {
                    messages.add("started");
                    while (true) {
                        context.checkCancelled();
                        Thread.onSpinWait();
                    }
                })
                .start()) {
            Job<Object> job = client.submit("spin", null);
            assertEquals("started", messages.take());
            job.cancel("enough");
            assertFalse(assertThrows(JobCancelledException.class, job::result).forced());
        }
    }

    @Test
    void aCancellationDoesNotInterruptTheNextAttemptOnTheSameThread() throws Exception {
        ExecutorService oneThread = Executors.newSingleThreadExecutor();
        try (Worker worker = Worker.builder(client)
                .slots(1)
                .executor(oneThread)
                .handle("sleep", Object.class, (input, context) -> {
                    messages.add("started");
                    // The handler only returns, so the interrupt status stays set on the thread.
                    while (!context.isCancelled()) {
                        Thread.onSpinWait();
                    }
                    return null;
                })
                .handle("look", Object.class, (input, context) -> Thread.currentThread()
                        .isInterrupted())
                .start()) {
            for (int i = 0; i < 20; i++) {
                Job<Object> job = client.submit("sleep", null);
                assertEquals("started", messages.take());
                job.cancel("");
                assertEquals(false, client.submit("look", null).result());
            }
        } finally {
            oneThread.shutdownNow();
        }
    }

    @Test
    void errorsFailOnlyTheirJobAndTheWorkerContinues() {
        try (Worker worker = Worker.builder(client)
                .slots(1)
                .handle("overflow", Integer.class, (depth, context) -> overflow(depth))
                .handle("circle", Object.class, (input, context) -> new Object())
                .handle("echo", Object.class, (input, context) -> input)
                .start()) {
            Job<Object> overflow = client.submit("overflow", 0);
            Failure failure =
                    assertThrows(JobFailedException.class, overflow::result).failure();
            assertEquals(FailureReason.PANIC, failure.reason());
            assertEquals("java.lang.StackOverflowError", failure.type());
            assertTrue(failure.details().asText().contains("WorkerTest.overflow"));
            Job<Object> circle = client.submit("circle", null);
            failure = assertThrows(JobFailedException.class, circle::result).failure();
            assertTrue(failure.message().contains("cannot be encoded as JSON"), failure.message());
            assertFalse(failure.retryable());
            assertEquals("alive", client.submit("echo", "alive").result());
        }
    }

    @SuppressWarnings("InfiniteRecursion") // The recursion is intended.
    private static int overflow(int depth) {
        return overflow(depth + 1) + 1;
    }

    @Test
    void anAttemptThatTheExecutorRejectsIsReleased() throws Exception {
        ExecutorService refusing = Executors.newSingleThreadExecutor();
        refusing.shutdown();
        try (Worker worker = Worker.builder(client)
                .executor(refusing)
                .handle("rejected", Object.class, (input, context) -> input)
                .start()) {
            Job<Object> job = client.submit("rejected", "done");
            try (Watch watch = job.watch()) {
                // QUEUED, RUNNING and, released, waiting for its delay.
                JobEvent event = watch.next();
                while (!(event instanceof JobEvent.StateChange change && change.state() == JobState.SCHEDULED)) {
                    event = watch.next();
                }
            }
            worker.stop();
            try (Worker other = Worker.builder(client)
                    .handle("rejected", Object.class, (input, context) -> context.attempt())
                    .start()) {
                assertEquals(2, ((Number) job.result()).intValue(), "the released attempt did not count");
            }
        }
    }

    @Test
    void stopReleasesAllAttempts() throws Exception {
        Worker worker = Worker.builder(client)
                .handle("back", Object.class, this::sleepForever)
                .start();
        Job<Object> job = client.submit("back", null);
        assertEquals("started", messages.take());
        worker.stop();
        assertEquals("interrupted, cancelled: true", messages.take());
        try (Worker other = Worker.builder(client)
                .handle("back", Object.class, (input, context) -> "elsewhere")
                .start()) {
            assertEquals("elsewhere", job.result());
        }
    }

    @Test
    void anAttemptOfAHandlerThatDoesNotStopIsReleased() throws Exception {
        CountDownLatch release = new CountDownLatch(1);
        Worker worker = Worker.builder(client)
                .handle("ignoring", Object.class, (input, context) -> {
                    messages.add("started");
                    while (release.getCount() > 0) {
                        Thread.onSpinWait();
                    }
                    return "too late";
                })
                .start();
        Job<Object> job = client.submit("ignoring", null);
        assertEquals("started", messages.take());
        worker.stop();
        assertEquals(JobState.QUEUED, job.state());
        release.countDown();
    }

    @Test
    void drainWaitsForRunningAttempts() throws Exception {
        CompletableFuture<String> result = new CompletableFuture<>();
        Worker worker = Worker.builder(client)
                .handle("wait", Object.class, (input, context) -> {
                    messages.add("started");
                    return result.get();
                })
                .start();
        Job<Object> job = client.submit("wait", null);
        assertEquals("started", messages.take());
        CompletableFuture<Void> drained = CompletableFuture.runAsync(() -> worker.drain(Duration.ofSeconds(20)));
        result.complete("finished");
        drained.get();
        assertEquals("finished", job.result());
    }

    @Test
    void aRejectedWorkerThrowsTheErrorOfTheServer() {
        Worker worker = Worker.builder(client)
                .name("no spaces")
                .handle("x", Object.class, (input, context) -> input)
                .build();
        var error = assertThrows(InvalidRequestException.class, worker::run);
        assertEquals("hello.name", error.violations().get(0).field());
    }

    @Test
    void interruptingRunStopsTheWorker() throws Exception {
        Worker worker = Worker.builder(client)
                .handle("run", Object.class, this::sleepForever)
                .drainOnSignals(false)
                .build();
        CompletableFuture<Throwable> ended = new CompletableFuture<>();
        Thread runner = new Thread(() -> {
            try {
                worker.run();
                ended.complete(null);
            } catch (Throwable error) {
                ended.complete(error);
            }
        });
        runner.start();
        Job<Object> job = client.submit("run", null);
        assertEquals("started", messages.take());
        runner.interrupt();
        assertEquals(WaitInterruptedException.class, ended.get().getClass());
        assertEquals(JobState.QUEUED, job.state());
    }

    @Test
    void aHandlerReceivesTheSubmittedFields() {
        try (Worker worker = Worker.builder(client)
                .queues("side")
                .handle(
                        "info",
                        Object.class,
                        (input, context) ->
                                Map.of("queue", context.queue(), "headers", context.headers(), "job", context.jobId()))
                .start()) {
            Job<Object> job = client.submit(
                    "info", null, Object.class, options -> options.queue("side").header("trace", "1"));
            assertEquals(Map.of("queue", "side", "headers", Map.of("trace", "1"), "job", job.id()), job.result());
        }
    }

    @Test
    void progressInUnitsHasAFraction() throws Exception {
        List<OptionalDouble> fractions = new ArrayList<>();
        try (Worker worker = Worker.builder(client)
                .handle("count", Integer.class, (total, context) -> {
                    context.progressOf(1, total, "files");
                    return null;
                })
                .start()) {
            for (int total : new int[] {4, 0}) {
                try (Watch watch = client.submit("count", total).watch()) {
                    watch.stream()
                            .filter(JobEvent.Progress.class::isInstance)
                            .forEach(event -> fractions.add(((JobEvent.Progress) event).fraction()));
                }
            }
        }
        assertEquals(List.of(OptionalDouble.of(0.25), OptionalDouble.empty()), fractions);
    }

    @Test
    void invalidBuildersAreRejected() {
        var builder = Worker.builder(client);
        assertThrows(IllegalStateException.class, builder::build);
        assertThrows(IllegalArgumentException.class, () -> builder.slots(0));
        builder.handle("x", Object.class, (input, context) -> input);
        assertThrows(
                IllegalArgumentException.class, () -> builder.handle("x", Object.class, (input, context) -> input));
        Worker never = builder.build();
        never.close();
        assertThrows(IllegalStateException.class, never::start);
    }

    @Test
    void anErrorOfACallbackDoesNotEndTheWorker() {
        try (Worker worker = Worker.builder(client)
                .handle("unheard", Object.class, (input, context) -> "done")
                .onConnected(workerId -> {
                    throw new AssertionError("broken");
                })
                .start()) {
            assertEquals("done", client.run("unheard", null));
        }
    }
}
