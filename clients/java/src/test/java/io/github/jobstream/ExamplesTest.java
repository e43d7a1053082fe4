package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.type.TypeReference;
import io.github.jobstream.testing.TestServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ExamplesTest {
    private TestServer server;

    @BeforeEach
    void start() {
        server = TestServer.start();
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private Process run(String example) throws IOException {
        String java = ProcessHandle.current().info().command().orElse("java");
        String classPath = System.getProperty("java.class.path");
        ProcessBuilder builder =
                new ProcessBuilder(java, "-XX:TieredStopAtLevel=1", "-cp", classPath, example, server.address());
        builder.environment().put("JOBSTREAM_ADDRESS", server.address());
        return builder.redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    private static BufferedReader output(Process process) {
        return new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    }

    private List<String> linesOf(String example) throws Exception {
        Process process = run(example);
        List<String> lines = output(process).lines().toList();
        assertEquals(0, process.waitFor(), lines::toString);
        return lines;
    }

    @Test
    void workerRunsUntilASignalAndThenTheProgramContinues() throws Exception {
        Process worker = run("RunWorker");
        BufferedReader workerOutput = output(worker);
        assertTrue(workerOutput.readLine().startsWith("connected as "));
        List<String> lines = linesOf("SubmitAndWait");
        assertTrue(lines.get(0).startsWith("accepted "), lines::toString);
        assertEquals("64 x 48", lines.get(1));
        try (Client client = server.connect()) {
            Job<Map<?, ?>> running = client.submit("resize", Map.of("width", 8), new TypeReference<>() {}, o -> {});
            try (Watch watch = running.watch()) {
                assertTrue(watch.stream().anyMatch(JobEvent.Progress.class::isInstance));
            }
            // Process.destroy would also close the streams.
            worker.toHandle().destroy();
            assertEquals("drained", workerOutput.readLine());
            assertEquals(0, worker.waitFor());
            assertEquals("{\"width\":8,\"height\":6}", running.payload().asText(), "the running attempt finished");
        }
    }

    @Test
    void tourPrintsEventsAndTheResult() throws Exception {
        List<String> lines = linesOf("Tour");
        assertTrue(lines.stream().anyMatch(line -> line.contains("decoding")), lines::toString);
        assertEquals("resized to 640", lines.get(lines.size() - 1));
    }

    @Test
    void watchWithResumePrintsEveryEventOnce() throws Exception {
        try (Client client = server.connect();
                Worker worker = Worker.builder(client)
                        .handle("recite", String.class, (text, context) -> {
                            for (String word : text.split(" ")) {
                                context.output(word);
                            }
                            return null;
                        })
                        .start()) {
            assertEquals(
                    List.of(
                            "1 QUEUED",
                            "2 RUNNING",
                            "3 output every",
                            "stopped after event 3",
                            "4 output event",
                            "5 output comes",
                            "6 output once",
                            "7 SUCCEEDED"),
                    linesOf("WatchWithResume"));
        }
    }

    @Test
    void streamingOutputPrintsEveryWord() throws Exception {
        assertEquals(List.of("a job is a small stream of events (8 words)"), linesOf("StreamingOutput"));
    }
}
