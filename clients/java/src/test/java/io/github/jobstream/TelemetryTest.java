package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.jobstream.testing.TestServer;
import io.opentelemetry.api.baggage.Baggage;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.SpanProcessor;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The spans of a job from its submit to its attempts, as a collector receives them from the exporter of OpenTelemetry. */
@Timeout(60)
class TelemetryTest {
    private static TestServer server;
    private static SpanReceiver receiver;
    private static OpenTelemetrySdk sdk;
    private static Tracer tracer;

    record Size(int width) {}

    @BeforeAll
    static void start() throws Exception {
        server = TestServer.start();
        receiver = new SpanReceiver();
        var exporter =
                OtlpGrpcSpanExporter.builder().setEndpoint(receiver.address()).build();
        sdk = OpenTelemetrySdk.builder()
                .setTracerProvider(SdkTracerProvider.builder()
                        .addSpanProcessor(oneExportAtATime(exporter))
                        .build())
                .build();
        tracer = sdk.getTracer("test");
    }

    @AfterAll
    static void stop() throws Exception {
        sdk.close();
        receiver.close();
        server.close();
    }

    /** A simple processor exports each span by itself, and the exporter drops those beyond five at a time. */
    private static SpanProcessor oneExportAtATime(SpanExporter exporter) {
        return BatchSpanProcessor.builder(exporter)
                .setScheduleDelay(Duration.ofMillis(5))
                .build();
    }

    private static Client connect() {
        return Client.connect(
                server.address(),
                options -> options.interceptor(JobstreamTelemetry.create(sdk).submitInterceptor()));
    }

    private static Worker.Builder worker(Client client) {
        return Worker.builder(client).interceptor(JobstreamTelemetry.create(sdk).handlerInterceptor());
    }

    private static String text(JsonNode span, String field) {
        return span.path(field).asText();
    }

    private static Map<String, Object> attributes(JsonNode span) {
        @SuppressWarnings("unchecked") // The attributes of a span are a JSON object.
        Map<String, Object> attributes = new ObjectMapper().convertValue(span.path("attributes"), Map.class);
        attributes.keySet().removeIf(name -> name.startsWith("thread."));
        return attributes;
    }

    /** The trace and the span of each link. */
    private static List<String> links(JsonNode span) {
        return span.path("links").findValuesAsText("spanId");
    }

    @Test
    void aJobOfTwoAttemptsHasASubmitItsChildAndAnotherTraceWithALink() throws Exception {
        List<String> inner = new CopyOnWriteArrayList<>();
        List<String> baggages = new CopyOnWriteArrayList<>();
        try (Client client = connect();
                Worker worker = worker(client)
                        .handle("resize", Object.class, (input, context) -> {
                            inner.add(Span.current().getSpanContext().getSpanId());
                            baggages.add(String.valueOf(Baggage.current().getEntryValue("tenant")));
                            if (context.attempt() == 1) {
                                throw new IllegalStateException("too far");
                            }
                            return context.attempt();
                        })
                        .start()) {
            Span request = tracer.spanBuilder("request").startSpan();
            Job<Integer> job;
            try (var span = request.makeCurrent();
                    var baggage =
                            Baggage.builder().put("tenant", "acme co").build().makeCurrent()) {
                job = client.submit("resize", 1, Integer.class, options -> options.queue("media")
                        .maxAttempts(2)
                        .initialBackoff(Duration.ofMillis(1)));
            } finally {
                request.end();
            }
            assertEquals(2, job.result());
            JsonNode submit = receiver.span("submit media", job.id());
            JsonNode first = receiver.span("process media", job.id(), 1);
            JsonNode second = receiver.span("process media", job.id(), 2);
            assertEquals(
                    List.of("PRODUCER", "CONSUMER", "CONSUMER"),
                    Stream.of(submit, first, second)
                            .map(span -> text(span, "kind"))
                            .toList());
            String trace = request.getSpanContext().getTraceId();
            assertEquals(trace, text(submit, "traceId"));
            assertEquals(request.getSpanContext().getSpanId(), text(submit, "parentSpanId"));
            assertEquals(trace, text(first, "traceId"));
            assertEquals(text(submit, "spanId"), text(first, "parentSpanId"));
            assertNotEquals(trace, text(second, "traceId"));
            assertEquals("", text(second, "parentSpanId"));
            assertEquals(List.of(), links(submit));
            for (JsonNode attempt : List.of(first, second)) {
                assertEquals(List.of(text(submit, "spanId")), links(attempt));
                assertEquals(List.of(trace), attempt.path("links").findValuesAsText("traceId"));
            }
            checkAttributes(job.id(), submit, first, second);
            checkSettled(first, receiver.span("settle media", job.id(), 1));
            checkSettled(second, receiver.span("settle media", job.id(), 2));
            assertEquals("too far", text(first.path("status"), "message"));
            assertEquals(List.of(text(first, "spanId"), text(second, "spanId")), inner);
            assertEquals(List.of("acme co", "acme co"), baggages);
            String traceparent =
                    client.get(job.id()).traceContext().orElseThrow().traceparent();
            // Without the flags, of which newer versions of OpenTelemetry set one more.
            assertEquals("00-" + trace + "-" + text(submit, "spanId"), traceparent.substring(0, 52));
        }
    }

    /** The span of an acknowledged attempt: a child that begins when the span of the attempt ends. */
    private static void checkSettled(JsonNode attempt, JsonNode settle) {
        assertEquals("CLIENT", text(settle, "kind"));
        assertEquals(text(attempt, "traceId"), text(settle, "traceId"));
        assertEquals(text(attempt, "spanId"), text(settle, "parentSpanId"));
        assertEquals("UNSET", text(settle.path("status"), "code"));
        assertTrue(settle.path("startTimeUnixNano").asLong()
                >= attempt.path("endTimeUnixNano").asLong());
        Map<String, Object> expected = attributes(attempt);
        expected.keySet().remove("error.type");
        expected.putAll(Map.of("messaging.operation.name", "settle", "messaging.operation.type", "settle"));
        assertEquals(expected, attributes(settle));
    }

    private static void checkAttributes(String jobId, JsonNode submit, JsonNode first, JsonNode second) {
        Map<String, Object> expected = new HashMap<>(Map.of(
                "messaging.system", "jobstream",
                "messaging.destination.name", "media",
                "messaging.operation.name", "submit",
                "messaging.operation.type", "send",
                "messaging.message.id", jobId,
                "jobstream.job.kind", "resize"));
        assertEquals(expected, attributes(submit));
        expected.putAll(Map.of(
                "messaging.operation.name", "process",
                "messaging.operation.type", "process",
                "jobstream.job.attempt", 2));
        assertEquals(expected, attributes(second));
        expected.putAll(Map.of("jobstream.job.attempt", 1, "error.type", "java.lang.IllegalStateException"));
        assertEquals(expected, attributes(first));
    }

    @Test
    void aTraceContextOfTheCallerIsTheParentOfTheSubmit() throws Exception {
        TraceContext given =
                new TraceContext("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1", "tenant=acme");
        try (Client client = connect()) {
            Job<Object> job = client.submit("idle", 1, Object.class, options -> options.traceContext(given));
            JsonNode submit = receiver.span("submit default", job.id());
            assertEquals("4bf92f3577b34da6a3ce929d0e0e4736", text(submit, "traceId"));
            assertEquals("00f067aa0ba902b7", text(submit, "parentSpanId"));
            assertEquals("vendor=1", text(submit, "traceState"));
            String traceparent = "00-" + text(submit, "traceId") + "-" + text(submit, "spanId") + "-01";
            assertEquals(
                    new TraceContext(traceparent, "vendor=1", "tenant=acme"),
                    client.get(job.id()).traceContext().orElseThrow());
        }
    }

    @Test
    void aRetryTakesTheCurrentTraceContext() {
        try (Client client = server.connect()) {
            Job<Object> failed =
                    client.submit("idle", 1, Object.class, options -> options.timeout(Duration.ofMillis(1)));
            assertThrows(JobFailedException.class, failed::result);
            Span operator = tracer.spanBuilder("operator").startSpan();
            Job<Object> retried;
            try (var current = operator.makeCurrent()) {
                TraceContext context = JobstreamTelemetry.currentTraceContext().orElseThrow();
                retried = client.retry(failed.id(), Object.class, context);
            }
            String traceparent =
                    client.get(retried.id()).traceContext().orElseThrow().traceparent();
            String ids = operator.getSpanContext().getTraceId() + "-"
                    + operator.getSpanContext().getSpanId();
            assertEquals("00-" + ids, traceparent.substring(0, 52));
            assertTrue(JobstreamTelemetry.currentTraceContext().isEmpty());
        }
    }

    @Test
    void errorsHaveATypeAndAStatusAndUndecodableInputIsNotQuoted() throws Exception {
        try (Client client = connect();
                Worker worker = worker(client)
                        .handle("decodes", Size.class, (size, context) -> size.width())
                        .start()) {
            String id = UUID.randomUUID().toString();
            assertThrows(
                    InvalidRequestException.class,
                    () -> client.submit("no spaces", 1, Object.class, options -> options.jobId(id)));
            JsonNode refused = receiver.span("submit default", id);
            assertEquals(
                    "io.github.jobstream.InvalidRequestException",
                    attributes(refused).get("error.type"));
            assertEquals("ERROR", text(refused.path("status"), "code"));
            Job<Object> job = client.submit("decodes", Map.of("width", "secret"));
            assertThrows(JobFailedException.class, job::result);
            JsonNode submit = receiver.span("submit default", job.id());
            assertEquals("UNSET", text(submit.path("status"), "code"));
            JsonNode attempt = receiver.span("process default", job.id());
            assertEquals("BAD_PAYLOAD", attributes(attempt).get("error.type"));
            assertEquals("ERROR", text(attempt.path("status"), "code"));
            List<JsonNode> spans = List.of(submit, attempt, receiver.span("settle default", job.id()));
            assertFalse(spans.toString().contains("secret"), spans::toString);
        }
    }

    @Test
    void anAttemptThatIsCancelledIsNoErrorAndAJobWithoutATraceBeginsOne() throws Exception {
        try (Client client = server.connect();
                Worker worker = worker(client)
                        .handle("sleep", Object.class, (input, context) -> {
                            context.output("started");
                            Thread.sleep(Long.MAX_VALUE);
                            return null;
                        })
                        .start()) {
            Job<Object> job = client.submit("sleep", 1);
            try (Watch watch = job.watch()) {
                watch.forEachRemaining(event -> {
                    if (event instanceof JobEvent.Output) {
                        job.cancel("");
                    }
                });
            }
            JsonNode attempt = receiver.span("process default", job.id());
            assertEquals("", text(attempt, "parentSpanId"));
            assertEquals(List.of(), links(attempt));
            assertEquals("UNSET", text(attempt.path("status"), "code"));
        }
    }

    @Test
    void aRefusedEndIsAnErrorOfItsSettle() throws Exception {
        CountDownLatch hasEnded = new CountDownLatch(1);
        try (Client client = server.connect();
                Worker worker = worker(client)
                        .handle("stubborn", Object.class, (input, context) -> {
                            context.output("started");
                            SettledTest.awaitUninterrupted(hasEnded);
                            return null;
                        })
                        .start()) {
            Job<Object> job = client.submit("stubborn", 1);
            SettledTest.revoke(job);
            hasEnded.countDown();
            JsonNode settle = receiver.span("settle default", job.id());
            assertEquals("LEASE_LOST", attributes(settle).get("error.type"));
            assertEquals("ERROR", text(settle.path("status"), "code"));
            assertTrue(text(settle.path("status"), "message").contains("LEASE_LOST"), settle::toString);
        }
    }

    /** Collects the names of spans as they end. */
    private record Names(List<String> all) implements SpanExporter {
        @Override
        public CompletableResultCode export(Collection<SpanData> spans) {
            spans.forEach(span -> all.add(span.getName()));
            return CompletableResultCode.ofSuccess();
        }

        @Override
        public CompletableResultCode flush() {
            return CompletableResultCode.ofSuccess();
        }

        @Override
        public CompletableResultCode shutdown() {
            return CompletableResultCode.ofSuccess();
        }
    }

    @Test
    void aSettleEndsBeforeItsWorkerAndHasAProcessSpanThatIsSampled() {
        Names names = new Names(new CopyOnWriteArrayList<>());
        SdkTracerProvider provider = SdkTracerProvider.builder()
                .addSpanProcessor(SimpleSpanProcessor.create(names))
                .build();
        OpenTelemetrySdk telemetry =
                OpenTelemetrySdk.builder().setTracerProvider(provider).build();
        try (Client client = server.connect()) {
            try (Worker worker = Worker.builder(client)
                    .interceptor(JobstreamTelemetry.create(telemetry).handlerInterceptor())
                    .handle("idle", Object.class, (input, context) -> null)
                    .start()) {
                for (String flags : List.of("00", "01")) {
                    TraceContext given =
                            TraceContext.of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-" + flags);
                    client.run("idle", 1, Object.class, options -> options.traceContext(given));
                }
            }
            assertEquals(List.of("process default", "settle default"), names.all());
        }
    }
}
