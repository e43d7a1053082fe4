package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.ListJobsRequest;
import io.grpc.Status;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;

/** What a client sends with each call, and what it never sends or prints. */
@Timeout(60)
class CredentialsTest {
    private static final String ID = "0190c0de-0000-7000-8000-00000000000a";
    private static final String SECRET = "jst_secret";

    private static Client connect(RefusingServer server, Consumer<ClientOptions> options) {
        return Client.connect(server.address(), chosen -> {
            chosen.tries(3).pauses(Duration.ofMillis(1), Duration.ofMillis(1));
            options.accept(chosen);
        });
    }

    /** Makes a call of each form. Returns the errors. */
    private static List<Throwable> everyCall(Client client) {
        List<Executable> calls = List.of(
                () -> client.get(ID),
                () -> client.purgeQueue("q"),
                () -> client.job(ID).result(),
                () -> client.job(ID).watch().hasNext(),
                () -> client.run("x", 1),
                () -> Worker.builder(client)
                        .handle("x", Object.class, (input, context) -> input)
                        .run());
        return calls.stream()
                .map(call -> assertThrows(JobstreamException.class, call))
                .map(Throwable.class::cast)
                .toList();
    }

    @Test
    void tokenAndMetadataAreSentWithEveryCallAndEveryStream() throws IOException {
        try (RefusingServer server = new RefusingServer(Status.Code.PERMISSION_DENIED);
                Client client = connect(
                        server, options -> options.token(SECRET + "\n").metadata(Map.of("X-Tenant", "media")))) {
            everyCall(client).forEach(error -> assertInstanceOf(PermissionDeniedException.class, error));
            var stubs = JobServiceGrpc.newBlockingStub(client.channel());
            assertThrows(RuntimeException.class, () -> stubs.listJobs(ListJobsRequest.getDefaultInstance()));
            // The run and its look-up of the boot id are two calls.
            assertEquals(8, server.calls().size());
            for (RefusingServer.Call call : server.calls()) {
                assertEquals("Bearer " + SECRET, call.header("authorization"), call.method());
                assertEquals("media", call.header("x-tenant"), call.method());
            }
        }
    }

    @Test
    void aRefusedCallIsRepeatedOnceWithTheNextToken() throws IOException {
        AtomicInteger count = new AtomicInteger();
        try (RefusingServer server = new RefusingServer(Status.Code.UNAUTHENTICATED);
                Client client = connect(server, options -> options.token(() -> "token-" + count.incrementAndGet()))) {
            assertThrows(UnauthenticatedException.class, () -> client.get(ID));
            assertEquals(
                    List.of("Bearer token-1", "Bearer token-2"),
                    server.calls().stream()
                            .map(call -> call.header("authorization"))
                            .toList());
            everyCall(client).forEach(error -> assertInstanceOf(UnauthenticatedException.class, error));
            for (String method : List.of("WatchResult", "Run", "Work", "PurgeQueue", "GetResult")) {
                assertEquals(2, server.count(method), method);
            }
        }
    }

    @Test
    void aRefusedCallWithAFixedTokenIsNotRepeated() throws IOException {
        try (RefusingServer server = new RefusingServer(Status.Code.UNAUTHENTICATED);
                Client client = connect(server, options -> options.token(SECRET))) {
            everyCall(client);
            assertEquals(6, server.calls().size() - server.count("GetServerInfo"));
        }
    }

    @Test
    void aFailedSupplierIsUnavailableAndItsCallIsNotSent() throws IOException {
        AtomicInteger count = new AtomicInteger();
        Supplier<String> broken = () -> {
            count.incrementAndGet();
            throw new IllegalStateException("no identity provider");
        };
        try (RefusingServer server = new RefusingServer(Status.Code.INTERNAL)) {
            try (Client client = connect(server, options -> options.token(broken))) {
                var error = assertThrows(UnavailableException.class, () -> client.get(ID));
                assertTrue(
                        error.getMessage().contains("supplier of the token failed, so no call was sent: no identity"));
                assertEquals("TOKEN_UNAVAILABLE", error.reason());
                assertEquals(3, count.get());
            }
            for (String useless : new String[] {null, "", "two\nlines"}) {
                try (Client client = connect(server, options -> options.token(() -> useless))) {
                    var error = assertThrows(UnavailableException.class, () -> client.get(ID));
                    assertEquals("TOKEN_UNAVAILABLE", error.reason());
                    assertFalse(error.getMessage().contains("two"), error.getMessage());
                }
            }
            assertEquals(List.of(), server.calls());
        }
    }

    @Test
    void aSupplierThatBlocksIsLimitedByTheCallTimeoutAndBlocksNoOtherCall() throws Exception {
        CountDownLatch goOn = new CountDownLatch(1);
        AtomicInteger count = new AtomicInteger();
        Supplier<String> slow = () -> {
            if (count.incrementAndGet() == 1) {
                try {
                    goOn.await();
                } catch (InterruptedException ignored) {
                    Thread.currentThread().interrupt();
                }
            }
            return SECRET;
        };
        try (RefusingServer server = new RefusingServer(Status.Code.PERMISSION_DENIED);
                Client client = connect(server, options -> options.token(slow).callTimeout(Duration.ofMillis(200)))) {
            assertThrows(DeadlineExceededException.class, () -> client.get(ID));
            assertThrows(PermissionDeniedException.class, () -> client.get(ID));
            goOn.countDown();
        }
    }

    @Test
    void aTokenIsNotSentOverPlainTextToOtherHosts() {
        List<Consumer<ClientOptions>> tokens =
                List.of(options -> options.token(SECRET), options -> options.token(() -> SECRET));
        for (Consumer<ClientOptions> token : tokens) {
            for (String host : List.of("jobs.example", "127.0.0.1.example", "10.0.0.1")) {
                var error = assertThrows(
                        IllegalArgumentException.class, () -> Client.connect("http://" + host + ":7070", token));
                assertTrue(
                        error.getMessage()
                                .matches("token would be sent over plain text to " + host + ": .*allowInsecureToken"),
                        error.getMessage());
            }
            for (String address : List.of("127.0.0.1:1", "localhost:1", "http://[::1]:1", "https://jobs.example")) {
                Client.connect(address, token).close();
            }
            Client.connect("jobs.example:1", token.andThen(options -> options.allowInsecureToken(true)))
                    .close();
        }
    }

    @Test
    void invalidTokensAndMetadataAreRefusedWithoutTheirValue() {
        List<Consumer<ClientOptions>> invalid = List.of(
                options -> options.token("a\nsecret"),
                options -> options.metadata(Map.of("authorization", "secret")),
                options -> options.metadata(Map.of("grpc-timeout", "secret")),
                options -> options.metadata(Map.of("x-a", "\u0000secret")));
        List<String> messages = new ArrayList<>();
        for (Consumer<ClientOptions> options : invalid) {
            var error = assertThrows(IllegalArgumentException.class, () -> Client.connect("127.0.0.1:1", options));
            assertFalse(error.getMessage().contains("secret"), error.getMessage());
            messages.add(error.getMessage());
        }
        assertTrue(messages.get(1).endsWith("use the option token"), messages::toString);
        assertTrue(messages.get(2).contains("\"grpc-timeout\": use a header name"), messages::toString);
    }

    @Test
    void aWatchAndAWorkerResumeAfterTheirTokenHasExpired() throws Exception {
        try (ExpiringServer server = new ExpiringServer()) {
            AtomicInteger count = new AtomicInteger();
            Supplier<String> token = () -> count.incrementAndGet() == 1 ? "old" : "new";
            try (Client client = Client.connect(server.address(), options -> options.token(token))) {
                List<JobState> states = new ArrayList<>();
                client.job(ID).watch().forEachRemaining(event -> states.add(((JobEvent.StateChange) event).state()));
                assertEquals(List.of(JobState.QUEUED, JobState.CANCELLED), states);
                assertEquals(List.of("Bearer old", "Bearer new"), server.authorizations());
            }
        }
        try (ExpiringServer server = new ExpiringServer()) {
            AtomicInteger count = new AtomicInteger();
            Supplier<String> token = () -> count.incrementAndGet() == 1 ? "old" : "new";
            CountDownLatch connected = new CountDownLatch(2);
            try (Client client = Client.connect(server.address(), options -> options.token(token));
                    Worker worker = Worker.builder(client)
                            .handle("x", Object.class, (input, context) -> input)
                            .onConnected(id -> connected.countDown())
                            .start()) {
                connected.await();
                assertEquals(
                        List.of("Bearer old", "Bearer new"),
                        server.authorizations().subList(0, 2));
            }
        }
    }

    @Test
    void aWatchAndAWorkerWhoseFixedTokenHasExpiredEnd() throws Exception {
        List<Consumer<Client>> calls =
                List.of(client -> client.job(ID).watch().forEachRemaining(event -> {}), client -> Worker.builder(client)
                        .handle("x", Object.class, (input, context) -> input)
                        .run());
        for (Consumer<Client> call : calls) {
            try (ExpiringServer server = new ExpiringServer();
                    Client client = Client.connect(server.address(), options -> options.token("old"))) {
                var error = assertThrows(UnauthenticatedException.class, () -> call.accept(client));
                assertEquals("CREDENTIAL_EXPIRED", error.reason());
                assertEquals(List.of("Bearer old", "Bearer old"), server.authorizations());
            }
        }
    }

    @Test
    void noTokenIsInErrorsAndLogs() throws IOException {
        List<Consumer<ClientOptions>> tokens =
                List.of(options -> options.token(SECRET), options -> options.token(() -> SECRET));
        for (Consumer<ClientOptions> token : tokens) {
            try (LogLines log = LogLines.collect();
                    RefusingServer server = new RefusingServer(Status.Code.UNAUTHENTICATED);
                    Client client = connect(server, token)) {
                StringWriter printed = new StringWriter();
                everyCall(client).forEach(error -> error.printStackTrace(new PrintWriter(printed, true)));
                printed.append(log.all().toString());
                assertFalse(printed.toString().contains(SECRET), printed::toString);
            }
        }
    }
}
