package io.github.jobstream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.testing.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The commands and the pom.xml of the README, in a new project. The repository of this machine has the dependencies. */
@Timeout(180)
class InstallTest {
    private static final String PROGRAM = """
            import io.github.jobstream.Client;

            public class App {
                public static void main(String[] arguments) {
                    try (Client client = Client.connect()) {
                        System.out.println(client.submit("unserved", 1).waitReason().orElseThrow());
                    }
                }
            }
            """;

    /** Without a version, Maven would look for the newest one. */
    private static final String CLASS_PATH =
            "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:build-classpath -Dmdep.outputFile=classpath";

    @TempDir
    Path folder;

    @Test
    void theReadmeInstallsAPackageThatRuns() throws Exception {
        String readme = Files.readString(Path.of("README.md"));
        copy("pom.xml", "src/main", "src/generated");
        Path app = Files.createDirectory(folder.resolve("app"));
        Files.writeString(app.resolve("pom.xml"), block(readme, "xml"));
        Files.writeString(app.resolve("App.java"), PROGRAM);
        Files.writeString(folder.resolve("settings.xml"), settings());
        String mvn = "mvn --batch-mode --quiet -Dmaven.repo.local=" + folder.resolve("repository") + " --settings "
                + folder.resolve("settings.xml") + " ";
        sh(folder, block(readme, "sh").replace("mvn ", mvn), "");
        try (TestServer server = TestServer.start()) {
            String printed = sh(
                    app,
                    mvn + CLASS_PATH + "\njavac -cp \"$(cat classpath)\" App.java\njava -cp \".:$(cat classpath)\" App",
                    server.address());
            assertTrue(printed.endsWith("NO_WORKER\n"), printed);
        }
    }

    /** Copies these parts of the package to where the README expects them. */
    private void copy(String... parts) throws IOException {
        for (String part : parts) {
            try (Stream<Path> paths = Files.walk(Path.of(part))) {
                for (Path path : paths.toList()) {
                    Path to = folder.resolve("jobstream/clients/java").resolve(path);
                    Files.createDirectories(to.getParent());
                    Files.copy(path, to, StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
        for (String licence : List.of("LICENSE-MIT", "LICENSE-APACHE")) {
            Files.copy(Path.of("../..", licence), folder.resolve("jobstream").resolve(licence));
        }
    }

    /** Has Maven read the repository of this machine, but install to an empty one. */
    private static String settings() {
        Path machine = Path.of(System.getProperty("user.home"), ".m2", "repository");
        return "<settings><mirrors><mirror><id>machine</id><mirrorOf>*</mirrorOf><url>" + machine.toUri()
                + "</url></mirror></mirrors></settings>";
    }

    private static String block(String readme, String language) {
        Matcher block = Pattern.compile("(?s)```" + language + "\n(.*?)```").matcher(readme);
        assertTrue(block.find(), "the README has no block of " + language);
        return block.group(1);
    }

    private static String sh(Path directory, String script, String address) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder("sh", "-euc", script).directory(directory.toFile());
        builder.environment().put("JOBSTREAM_ADDRESS", address);
        // Short processes start faster without the optimising compiler.
        builder.environment().put("MAVEN_OPTS", "-XX:TieredStopAtLevel=1");
        Process process = builder.redirectErrorStream(true).start();
        String printed = new String(process.getInputStream().readAllBytes(), UTF_8);
        assertEquals(0, process.waitFor(), printed);
        return printed;
    }
}
