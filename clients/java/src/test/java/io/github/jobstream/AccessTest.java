package io.github.jobstream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.testing.TestServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Tokens against a server that requires them. */
@Timeout(60)
class AccessTest {
    private static final String VALID = newToken();
    private static final String EXPIRED = newToken();

    @TempDir
    static Path directory;

    private static TestServer server;

    @BeforeAll
    static void start() throws Exception {
        Path file = directory.resolve("tokens.toml");
        Files.writeString(
                file, entry("billing", VALID, "") + entry("former", EXPIRED, "expires = 2020-01-01T00:00:00Z"));
        server = TestServer.startWith("--auth-tokens", file.toString());
    }

    @AfterAll
    static void stop() {
        server.close();
    }

    private static String newToken() {
        byte[] random = new byte[32];
        new SecureRandom().nextBytes(random);
        return "jst_" + Base64.getUrlEncoder().withoutPadding().encodeToString(random);
    }

    private static String entry(String name, String token, String more) throws Exception {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(token.getBytes(UTF_8));
        return """
                [[token]]
                name = "%s"
                sha256 = "%s"
                grants = ["all"]
                %s
                """.formatted(name, HexFormat.of().formatHex(digest), more);
    }

    private static Client connect(String token) {
        return Client.connect(server.address(), options -> options.token(token));
    }

    private static Worker.Builder worker(Client client) {
        return Worker.builder(client).handle("triple", Integer.class, (n, context) -> 3 * n);
    }

    @Test
    void clientAndWorkerAreAdmittedWithAToken() {
        try (Client client = connect(VALID);
                Worker worker = worker(client).start()) {
            assertEquals(42, client.run("triple", 14, Integer.class));
        }
    }

    @Test
    void aMissingUnknownOrExpiredTokenEndsCallsWatchesAndWorkers() {
        Map<String, String> refused =
                Map.of("CREDENTIAL_REQUIRED", "", "CREDENTIAL_INVALID", newToken(), "CREDENTIAL_EXPIRED", EXPIRED);
        try (Client admitted = connect(VALID)) {
            String id = admitted.submit("unserved", 1).id();
            refused.forEach((reason, token) -> assertRefused(id, reason, token));
            admitted.job(id).cancel("");
        }
    }

    private static void assertRefused(String id, String reason, String token) {
        try (Client client = connect(token)) {
            List<Executable> calls = List.of(
                    () -> client.submit("unserved", 1),
                    () -> client.run("unserved", 1),
                    () -> client.job(id).result(),
                    () -> client.job(id).watch().hasNext(),
                    () -> worker(client).run());
            for (Executable call : calls) {
                var error = assertThrows(UnauthenticatedException.class, call);
                assertEquals(reason, error.reason());
                assertFalse(error.getMessage().contains("jst_"), error.getMessage());
            }
            if (token.isEmpty()) {
                var error = assertThrows(UnauthenticatedException.class, client::queues);
                assertTrue(error.getMessage().endsWith(": set token, or JOBSTREAM_TOKEN"), error.getMessage());
            }
        }
    }

    @Test
    void callsStreamsAndWorkersContinueWithTheNextToken() throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        AtomicBoolean isOld = new AtomicBoolean(true);
        try (Client client = Client.connect(
                        server.address(), options -> options.token(() -> isOld.getAndSet(false) ? EXPIRED : VALID));
                Worker worker =
                        worker(client).onConnected(id -> connected.countDown()).start()) {
            connected.await();
            isOld.set(true);
            Job<Integer> job = client.submit("triple", 5, Integer.class);
            isOld.set(true);
            try (Watch watch = job.watch()) {
                watch.forEachRemaining(event -> {});
            }
            isOld.set(true);
            assertEquals(15, job.result());
            isOld.set(true);
            assertEquals(42, client.run("triple", 14, Integer.class));
        }
    }
}
