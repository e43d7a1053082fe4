package io.github.jobstream;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Predicate;

/** The receiver of traces of the repository, tests/otlp. It refuses what breaks the published protocol. */
final class SpanReceiver implements AutoCloseable {
    private final ObjectMapper json = new ObjectMapper();
    private final Process process;
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();
    private final String address;
    /** Every span received until now. Exporters send in any order. */
    private final List<JsonNode> spans = new ArrayList<>();

    SpanReceiver() throws IOException, InterruptedException {
        process = new ProcessBuilder("../../tests/otlp/run")
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        // A read of a pipe cannot be interrupted, but the timeout of a test interrupts.
        Thread reader = new Thread(this::read, "span-receiver");
        reader.setDaemon(true);
        reader.start();
        address = next().path("grpc").asText();
    }

    /** The address for OTLP over gRPC. */
    String address() {
        return address;
    }

    /** Waits for the span of this name and job. There must be only one, as of a submit or of a job with one attempt. */
    JsonNode span(String name, String jobId) throws InterruptedException {
        return await(name, span -> isOf(jobId, span));
    }

    /** Waits for the span of this name of an attempt of a job. */
    JsonNode span(String name, String jobId, int attempt) throws InterruptedException {
        return await(
                name,
                span -> isOf(jobId, span)
                        && span.path("attributes").path("jobstream.job.attempt").asInt() == attempt);
    }

    /** Waits for the span of this name and id. */
    JsonNode spanOfId(String name, String spanId) throws InterruptedException {
        return await(name, span -> span.path("spanId").asText().equals(spanId));
    }

    /** The spans of a job that were received until now. */
    List<JsonNode> received(String jobId) {
        return spans.stream().filter(span -> isOf(jobId, span)).toList();
    }

    private static boolean isOf(String jobId, JsonNode span) {
        return span.path("attributes").path("messaging.message.id").asText().equals(jobId);
    }

    private JsonNode await(String name, Predicate<JsonNode> isWanted) throws InterruptedException {
        Predicate<JsonNode> isNamed = span -> span.path("name").asText().equals(name);
        while (true) {
            var found = spans.stream().filter(isNamed.and(isWanted)).findFirst();
            if (found.isPresent()) {
                return found.get();
            }
            try {
                spans.add(next());
            } catch (InterruptedException timeout) {
                throw new AssertionError("no span " + name + " of the test in " + spans, timeout);
            }
        }
    }

    private JsonNode next() throws InterruptedException {
        String line = lines.take();
        if (line.isEmpty() || line.startsWith("{\"error\"")) {
            throw new AssertionError("the receiver answered " + line);
        }
        try {
            return json.readTree(line);
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
    }

    /** Queues the lines of the receiver, and an empty one at its end. */
    private void read() {
        try (BufferedReader output = process.inputReader(UTF_8)) {
            output.lines().forEach(lines::add);
        } catch (IOException | UncheckedIOException ended) {
            // The receiver was closed.
        }
        lines.add("");
    }

    @Override
    public void close() throws IOException {
        process.getOutputStream().close();
    }
}
