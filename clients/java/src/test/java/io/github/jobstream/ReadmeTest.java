package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.testing.TestServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The programs of the README with interceptors and a feed, and for secured servers in a directory with their files. */
@Timeout(60)
class ReadmeTest {
    private static final Pattern PROGRAM = Pattern.compile("(?s)```java\n(.*?)```");

    @TempDir
    Path directory;

    private static List<String> programs(String heading) throws Exception {
        String readme = Files.readString(Path.of("README.md"));
        String section = readme.split("\n## " + heading + "\n")[1].split("\n## ")[0];
        return PROGRAM.matcher(section)
                .results()
                .map((MatchResult block) -> block.group(1))
                .toList();
    }

    @Test
    void theProgramsUseASecuredServer() throws Exception {
        Authority authority = new Authority(directory);
        authority.issue("server", "IP:127.0.0.1");
        authority.issue("client", "DNS:client");
        String ca = authority.path("ca.crt").toString();
        List<String> programs = programs("Secured servers");
        assertEquals(3, programs.size());
        try (TestServer open = TestServer.startWith(authority.arguments("server"));
                TestServer strict = TestServer.startWith(authority.arguments("server", "--tls-client-ca", ca))) {
            for (String program : programs) {
                TestServer server = program.contains("clientCertificate") ? strict : open;
                String statements = "record Identity(String currentToken) {}\n"
                        + "Identity identity = new Identity(\"secret\");\n"
                        + program.replace("https://jobs.example:7070", server.address())
                        + "System.out.println(client.queues());\nclient.close();\n";
                assertEquals("[]\n", new Program(directory, statements).output(), program);
            }
        }
    }

    @Test
    void theProgramFollowsAllJobs() throws Exception {
        String store = """
                record Store(String cursor) {
                    static int saved;
                    void save(String cursor) {
                        if (++saved == 2) {
                            System.exit(0);
                        }
                    }
                }
                Store store = new Store("1-1"); // of another server
                Client client = Client.connect();
                """;
        try (TestServer server = TestServer.start();
                Client client = server.connect()) {
            try (Feed feed = client.watchJobs(filter -> {}, "1-1")) {
                feed.next();
            }
            Job<Object> job = client.submit(
                    "idle", 1, Object.class, options -> options.queue("media").timeout(Duration.ofMillis(1)));
            assertThrows(JobFailedException.class, job::result);
            String output = new Program(
                            directory, store + programs("Follow all jobs").get(0))
                    .with("JOBSTREAM_ADDRESS", server.address())
                    .output();
            assertEquals("changes are missing\n" + job.id() + " is FAILED\n", output);
        }
    }

    @Test
    void theProgramEncryptsPayloadsAndLabelsJobsWithTheirTenant() throws Exception {
        String program = programs("Interceptors").get(0);
        try (TestServer server = TestServer.start();
                Client client = server.connect()) {
            String output = new Program(directory, program)
                    .with("JOBSTREAM_ADDRESS", server.address())
                    .with("PAYLOAD_KEY", "5e".repeat(32))
                    .output();
            assertTrue(output.contains("hello Ada of acme\n"), output);
            String id = client.list(filter -> filter.kind("greet").label("tenant", "acme"))
                    .iterator()
                    .next()
                    .id();
            var stored = client.get(id).message();
            for (var payload :
                    List.of(stored.getSpec().getPayload(), stored.getOutcome().getResult())) {
                assertEquals("application/x-encrypted", payload.getContentType());
                assertFalse(payload.getData().toStringUtf8().contains("Ada"));
            }
        }
    }
}
