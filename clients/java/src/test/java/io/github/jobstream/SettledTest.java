package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.testing.TestServer;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What {@link JobContext#onSettled} passes to its callbacks. */
@Timeout(60)
class SettledTest {
    private TestServer server;
    private Client client;
    /** The errors of the callbacks, in the order of their calls. */
    private final BlockingQueue<Optional<JobstreamException>> settled = new LinkedBlockingQueue<>();

    @BeforeEach
    void start() {
        server = TestServer.start();
        client = server.connect();
    }

    @AfterEach
    void stop() {
        client.close();
        server.close();
    }

    /** For a handler that does not stop when it is cancelled. */
    static void awaitUninterrupted(CountDownLatch latch) {
        while (true) {
            try {
                latch.await();
                return;
            } catch (InterruptedException ignored) {
                // The lease was revoked.
            }
        }
    }

    /** Waits for the first output of a job and then for its end by a cancellation that its handler ignores. */
    static void revoke(Job<?> job) {
        try (Watch watch = job.watch()) {
            watch.forEachRemaining(event -> {
                if (event instanceof JobEvent.Output) {
                    job.cancel("", Duration.ofMillis(1));
                }
            });
        }
    }

    @Test
    void aResultAndAFailureAreAcknowledgedInTheOrderOfTheRegistration() throws Exception {
        List<String> order = new CopyOnWriteArrayList<>();
        try (Worker worker = Worker.builder(client)
                .interceptor((context, next) -> {
                    context.onSettled(error -> order.add("interceptor"));
                    try {
                        return next.run(context.payload());
                    } finally {
                        context.onSettled(settled::add);
                    }
                })
                .handle("divide", Integer.class, (by, context) -> {
                    context.onSettled(error -> order.add("handler of attempt " + context.attempt()));
                    return 1 / by;
                })
                .start()) {
            assertEquals(1, client.run("divide", 1, Integer.class));
            assertEquals(Optional.empty(), settled.take());
            assertThrows(JobFailedException.class, () -> client.run("divide", 0));
            assertEquals(Optional.empty(), settled.take());
        }
        assertEquals(List.of("interceptor", "handler of attempt 1", "interceptor", "handler of attempt 1"), order);
        assertEquals(0, settled.size());
    }

    @Test
    void theEndOfARevokedAttemptIsRefused() throws Exception {
        CountDownLatch hasEnded = new CountDownLatch(1);
        try (Worker worker = Worker.builder(client)
                .handle("stubborn", Object.class, (input, context) -> {
                    context.onSettled(settled::add);
                    context.output("started");
                    awaitUninterrupted(hasEnded);
                    return "too late";
                })
                .start()) {
            revoke(client.submit("stubborn", 1));
            hasEnded.countDown();
            JobstreamException error = settled.take().orElseThrow();
            assertEquals(IllegalJobStateException.class, error.getClass());
            assertEquals("LEASE_LOST", error.reason());
        }
        assertEquals(0, settled.size());
    }

    @Test
    void theLeasesOfARestartedServerAreLostAndEarlierEndsUnknown() throws Exception {
        CountDownLatch haveStarted = new CountDownLatch(2);
        CountDownLatch isClosed = new CountDownLatch(1);
        ExecutorService executor = Executors.newFixedThreadPool(2);
        try (Worker worker = Worker.builder(client)
                .executor(executor)
                .handle("return", Object.class, (input, context) -> {
                    context.onSettled(settled::add);
                    haveStarted.countDown();
                    isClosed.await();
                    return "done";
                })
                .handle("sleep", Object.class, (input, context) -> {
                    context.onSettled(settled::add);
                    haveStarted.countDown();
                    Thread.sleep(Long.MAX_VALUE);
                    return null;
                })
                .start()) {
            client.submit("return", 1);
            client.submit("sleep", 1);
            haveStarted.await();
            String listen = server.address().substring("http://".length());
            server.close();
            isClosed.countDown();
            // The thread is free once the attempt has ended, with a report that no server has acknowledged.
            executor.submit(() -> {}).get();
            server = TestServer.startAt(listen);
            Set<String> reasons = new HashSet<>();
            for (int i = 0; i < 2; i++) {
                reasons.add(settled.take().orElseThrow().reason());
            }
            // The server does not know whether an earlier one recorded the end of the attempt that returned.
            assertEquals(Set.of("LEASE_LOST", ""), reasons);
        } finally {
            executor.shutdown();
        }
    }

    @Test
    void aRefusalWhoseAcknowledgementWasLostIsAppliedAtTheReconnect() throws Exception {
        try (LostRefusalServer refusing = new LostRefusalServer();
                Client connected = Client.connect(refusing.address());
                Worker worker = Worker.builder(connected)
                        .handle("settles", Object.class, (input, context) -> {
                            context.onSettled(error -> refusing.settled(context.jobId(), error));
                            return null;
                        })
                        .start()) {
            assertEquals(
                    List.of("IllegalJobStateException", "UnavailableException", "recorded"), refusing.awaitSettled());
        }
    }

    @Test
    void itIsNotKnownIfTheWorkerEndsBeforeTheAcknowledgement() throws Exception {
        CountDownLatch hasStarted = new CountDownLatch(1);
        CountDownLatch isCut = new CountDownLatch(1);
        try (CutProxy proxy = new CutProxy(server.address());
                Client cut = Client.connect(proxy.address())) {
            Worker worker = Worker.builder(cut)
                    .handle("wait", Object.class, (input, context) -> {
                        context.onSettled(settled::add);
                        hasStarted.countDown();
                        isCut.await();
                        return "done";
                    })
                    .start();
            client.submit("wait", 1);
            hasStarted.await();
            proxy.close();
            isCut.countDown();
            worker.close();
            Optional<JobstreamException> error = settled.remove();
            assertEquals(UnavailableException.class, error.orElseThrow().getClass());
        }
    }

    @Test
    void itIsNotKnownIfTheHandlerReturnsAfterTheEndOfTheWorker() throws Exception {
        CountDownLatch hasStarted = new CountDownLatch(1);
        CountDownLatch hasEnded = new CountDownLatch(1);
        Client closed = server.connect();
        Worker worker = Worker.builder(closed)
                .handle("stubborn", Object.class, (input, context) -> {
                    context.onSettled(settled::add);
                    hasStarted.countDown();
                    awaitUninterrupted(hasEnded);
                    return "done";
                })
                .start();
        client.submit("stubborn", 1);
        hasStarted.await();
        closed.close();
        worker.close();
        hasEnded.countDown();
        assertEquals(UnavailableException.class, settled.take().orElseThrow().getClass());
    }

    @Test
    void anExceptionOfACallbackIsLoggedAndHarmsNothing() throws Exception {
        try (LogLines log = LogLines.collect();
                Worker worker = Worker.builder(client)
                        .handle("greet", String.class, (name, context) -> {
                            context.onSettled(error -> {
                                throw new IllegalStateException("disk full");
                            });
                            context.onSettled(settled::add);
                            return "hello " + name;
                        })
                        .start()) {
            Job<String> job = client.submit("greet", "Ada", String.class);
            assertEquals("hello Ada", job.result());
            assertEquals(Optional.empty(), settled.take());
            assertEquals(
                    "WARNING a callback of onSettled failed: job=" + job.id() + " kind=greet queue=default attempt=1"
                            + " with java.lang.IllegalStateException: disk full",
                    log.await("onSettled"));
            assertEquals("hello Bob", client.run("greet", "Bob", String.class));
            assertTrue(log.await("onSettled").startsWith("WARNING a callback"));
            assertTrue(log.all().stream().noneMatch(line -> line.contains("onSettled")));
        }
    }

    @Test
    void aCallbackAfterTheHandlerHasReturnedIsNotCalled() throws Exception {
        BlockingQueue<JobContext> contexts = new LinkedBlockingQueue<>();
        try (Worker worker = Worker.builder(client)
                .handle("greet", String.class, (name, context) -> {
                    context.onSettled(error -> contexts.add(context));
                    return "hello " + name;
                })
                .start()) {
            client.submit("greet", "Ada");
            contexts.take().onSettled(settled::add);
        }
        assertEquals(0, settled.size());
    }
}
