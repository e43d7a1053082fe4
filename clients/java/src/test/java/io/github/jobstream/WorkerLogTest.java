package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.testing.TestServer;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class WorkerLogTest {
    private TestServer server;
    private Client client;
    private LogLines log;

    record Size(int width) {}

    @BeforeEach
    void start() {
        server = TestServer.start();
        client = server.connect();
        log = LogLines.collect();
    }

    @AfterEach
    void stop() {
        log.close();
        client.close();
        server.close();
    }

    @Test
    void anExceptionOfAHandlerIsOneWarning() throws Exception {
        try (Worker worker = Worker.builder(client)
                .handle("save", Object.class, (input, context) -> {
                    throw new IOException("disk full\n  on /var");
                })
                .start()) {
            Job<Object> job = client.submit("save", "secret");
            assertThrows(JobFailedException.class, job::result);
            assertEquals(
                    "WARNING attempt failed: job=" + job.id()
                            + " kind=save queue=default attempt=1 error_type=java.io.IOException"
                            + " error=\"disk full on /var\" with java.io.IOException: disk full\n  on /var",
                    log.await("attempt failed"));
        }
        assertTrue(log.all().stream().noneMatch(line -> line.contains("attempt failed")), () -> log.all()
                .toString());
    }

    @Test
    void theLogOfUndecodableInputDoesNotQuoteIt() throws Exception {
        try (Worker worker = Worker.builder(client)
                .handle("resize", Size.class, (size, context) -> size.width())
                .start()) {
            Job<Object> job = client.submit("resize", Map.of("width", "secret"));
            var error = assertThrows(JobFailedException.class, job::result);
            assertTrue(
                    error.failure().message().contains("secret"),
                    error.failure().message());
            String line = log.await("attempt failed");
            assertTrue(line.contains("cannot be decoded as") && line.contains("field width"), line);
            assertFalse(line.contains("secret"), line);
        }
    }

    @Test
    void tenFailedAttemptsASecondAreLoggedAndTheOthersCounted() {
        try (Worker worker = Worker.builder(client)
                .handle("save", Object.class, (input, context) -> {
                    throw new IOException("again");
                })
                .start()) {
            Job<Object> job = client.submit("save", 1, Object.class, options -> options.maxAttempts(100)
                    .initialBackoff(Duration.ZERO)
                    .backoffJitter(0));
            assertThrows(JobFailedException.class, job::result);
        }
        Pattern omitted = Pattern.compile("WARNING (\\d+) more attempts failed: at most 10 a second are logged");
        int counted = log.all().stream()
                .flatMap(line -> omitted.matcher(line).results())
                .mapToInt(count -> Integer.parseInt(count.group(1)))
                .sum();
        long logged = log.all().stream()
                .filter(line -> line.contains("attempt failed:"))
                .count();
        assertTrue(logged >= 10 && logged < 100, () -> log.all().toString());
        assertEquals(100, logged + counted);
    }

    @Test
    void aServerThatCannotBeReachedIsAWarning() throws Exception {
        try (CutProxy proxy = new CutProxy(server.address())) {
            proxy.close();
            try (Client away = Client.connect(proxy.address());
                    Worker worker = Worker.builder(away)
                            .name("thumbnails")
                            .handle("resize", Size.class, (size, context) -> size.width())
                            .start()) {
                String line = log.await("cannot connect");
                assertTrue(line.startsWith("WARNING worker thumbnails cannot connect, tries again in "), line);
            }
        }
    }

    @Test
    void aLostConnectionIsAWarningAndADrainIsLogged() throws Exception {
        try (CutProxy proxy = new CutProxy(server.address());
                Client cut = Client.connect(proxy.address())) {
            CountDownLatch connected = new CountDownLatch(1);
            Worker worker = Worker.builder(cut)
                    .name("thumbnails")
                    .onConnected(workerId -> connected.countDown())
                    .handle("resize", Size.class, (size, context) -> size.width())
                    .start();
            connected.await();
            assertEquals("INFO worker thumbnails is connected to " + proxy.address(), log.await("is connected"));
            proxy.cut();
            assertTrue(log.await("lost its connection").startsWith("WARNING worker thumbnails lost its connection"));
            worker.close();
            assertEquals("INFO worker thumbnails is drained", log.await("drained"));
        }
    }
}
