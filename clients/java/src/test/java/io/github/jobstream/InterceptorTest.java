package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.jobstream.testing.TestServer;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class InterceptorTest {
    private static final String TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    private static TestServer server;
    private final List<String> seen = new CopyOnWriteArrayList<>();

    @BeforeAll
    static void start() {
        server = TestServer.start();
    }

    @AfterAll
    static void stop() {
        server.close();
    }

    private static Client connect(SubmitInterceptor... interceptors) {
        return Client.connect(
                server.address(), options -> Stream.of(interceptors).forEach(options::interceptor));
    }

    /** Appends its name to the label {@code path} of each job. */
    private SubmitInterceptor passing(String name) {
        return (job, next) -> {
            seen.add(name + " " + job.kind() + " " + job.queue());
            String path = job.labels().getOrDefault("path", "") + name;
            Submitted submitted = next.submit(job.withLabel("path", path));
            seen.add(name + " " + submitted.jobId().equals(job.jobId()));
            return submitted;
        };
    }

    @Test
    void submitSubmitAllAndRunPassThroughTheInterceptorsTheFirstOutermost() {
        List<String> around = List.of("a path default", "b path default", "b true", "a true");
        try (Client client = connect(passing("a"), passing("b"));
                Worker worker = Worker.builder(client)
                        .handle("path", Object.class, (input, context) -> context.labels()
                                .get("path"))
                        .start()) {
            assertEquals("ab", client.submit("path", 1).result());
            assertEquals(around, List.copyOf(seen));
            seen.clear();
            assertEquals("ab", client.run("path", 1));
            assertEquals(around, List.copyOf(seen));
            JobRequest labelled = JobRequest.of("path", 1, options -> options.label("path", "0"));
            List<Object> results = client.submitAll(List.of(JobRequest.of("path", 1), labelled)).stream()
                    .map(result -> result.job().result())
                    .toList();
            assertEquals(List.of("ab", "0ab"), results);
        }
    }

    @Test
    void anInterceptorRefusesAJobInABatchOnlyThatOne() {
        SubmitInterceptor refuse = (job, next) -> {
            if (job.payload().asText().contains("bad")) {
                throw new InvalidRequestException("job.payload", "is bad");
            }
            return next.submit(job);
        };
        try (Client client = connect(refuse)) {
            assertThrows(InvalidRequestException.class, () -> client.submit("idle", "bad"));
            assertThrows(InvalidRequestException.class, () -> client.run("idle", "bad"));
            List<Optional<String>> errors = client
                    .submitAll(Stream.of("good", "bad", "good")
                            .map(input -> JobRequest.of("idle", input))
                            .toList())
                    .stream()
                    .map(result -> result.error().map(Throwable::getMessage))
                    .toList();
            assertEquals(List.of(Optional.empty(), Optional.of("job.payload is bad"), Optional.empty()), errors);
            long submitted = Stream.generate(
                            client.list(filter -> filter.kind("idle")).iterator()::next)
                    .limit(2)
                    .count();
            assertEquals(2, submitted);
        }
    }

    @Test
    void anInterceptorThatDoesNotCallNextReturnsAnotherJob() {
        try (Client client = connect();
                Worker worker = Worker.builder(client)
                        .handle("sum", Object.class, (input, context) -> 42)
                        .start()) {
            String id = client.submit("sum", 1).id();
            try (Client reusing = connect((job, next) -> new Submitted(id, Optional.empty()))) {
                assertEquals(id, reusing.submit("sum", 1).id());
                assertEquals(42, reusing.run("sum", 1, Integer.class));
                var batch = reusing.submitAll(List.of(JobRequest.of("sum", 1)));
                assertEquals(id, batch.get(0).job().id());
            }
        }
    }

    private static HandlerInterceptor wrapping(String name) {
        return (context, next) -> {
            String input = context.payload().asJson(String.class);
            String result = next.run(Payload.json('"' + input + name + '"')).asJson(String.class);
            return Payload.json('"' + name + "(" + result + ")\"");
        };
    }

    @Test
    void handlerInterceptorsChangeTheInputAndTheResultTheFirstOutermost() {
        try (Client client = connect();
                Worker worker = Worker.builder(client)
                        .interceptor(wrapping("a"))
                        .interceptor(wrapping("b"))
                        .handle(
                                "echo",
                                String.class,
                                (input, context) ->
                                        input + " " + context.payload().asJson(String.class))
                        .start()) {
            assertEquals("a(b(xab xab))", client.run("echo", "x"));
        }
    }

    private Failure failureOf(Client client, String kind) {
        return assertThrows(JobFailedException.class, () -> client.run(kind, "x"))
                .failure();
    }

    @Test
    void anExceptionOfAHandlerInterceptorFailsTheAttemptAndItSeesThoseOfTheHandler() {
        HandlerInterceptor interceptor = (context, next) -> {
            if (context.kind().equals("refused")) {
                throw new PermanentException("not here");
            }
            try {
                Payload result = next.run(context.payload());
                return context.kind().equals("forgetful") ? null : result;
            } catch (Exception error) {
                seen.add(error.getClass().getSimpleName());
                throw error;
            }
        };
        try (Client client = connect();
                Worker worker = Worker.builder(client)
                        .interceptor(interceptor)
                        .handle("refused", String.class, (input, context) -> 1)
                        .handle("forgetful", String.class, (input, context) -> 1)
                        .handle("decodes", Integer.class, (input, context) -> 1)
                        .handle("fails", String.class, (input, context) -> {
                            throw new IllegalStateException("broken");
                        })
                        .start()) {
            assertEquals("not here", failureOf(client, "refused").message());
            assertEquals(
                    "an interceptor returned null: return what next.run returns",
                    failureOf(client, "forgetful").message());
            assertEquals(FailureReason.BAD_PAYLOAD, failureOf(client, "decodes").reason());
            assertEquals(
                    "java.lang.IllegalStateException",
                    failureOf(client, "fails").type());
            assertEquals(List.of("BadInput", "IllegalStateException"), seen);
        }
    }

    @Test
    void theHandlerGetsTheTraceContextWithoutThePartsThatAreTooLarge() {
        try (Client client = connect();
                Worker worker = Worker.builder(client)
                        .handle("trace", Object.class, (input, context) -> context.traceContext()
                                .<Object>map(trace -> List.of(trace.traceparent(), trace.tracestate(), trace.baggage()))
                                .orElse(Map.of()))
                        .start()) {
            TraceContext whole = new TraceContext(TRACEPARENT, "vendor=1", "tenant=acme");
            assertEquals(
                    List.of(TRACEPARENT, "vendor=1", "tenant=acme"),
                    client.run("trace", 1, Object.class, options -> options.traceContext(whole)));
            TraceContext large = new TraceContext(TRACEPARENT, "v=" + "x".repeat(511), "t=" + "x".repeat(4095));
            Job<Object> job = client.submit("trace", 1, Object.class, options -> options.traceContext(large));
            assertEquals(List.of(TRACEPARENT, "", ""), job.result());
            assertEquals(
                    Optional.of(TraceContext.of(TRACEPARENT)),
                    client.get(job.id()).traceContext());
            assertEquals(Map.of(), client.run("trace", 1));
            TraceContext malformed = TraceContext.of("00-0-0-01");
            assertThrows(
                    InvalidRequestException.class,
                    () -> client.submit("trace", 1, Object.class, options -> options.traceContext(malformed)));
        }
    }
}
