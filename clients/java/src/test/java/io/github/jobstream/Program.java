package io.github.jobstream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.stream.Collectors.joining;
import static java.util.stream.Collectors.partitioningBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Statements, after their imports, that run in a process of their own, with their own environment. */
final class Program {
    private final Path directory;
    private final String statements;
    private final Map<String, String> environment = new HashMap<>();

    Program(Path directory, String statements) {
        this.directory = directory;
        this.statements = statements;
    }

    /** Sets a variable of the environment. */
    Program with(String name, String value) {
        environment.put(name, value);
        return this;
    }

    /** Runs the statements in the directory. Returns what they print, errors too. */
    String output() throws IOException, InterruptedException {
        Path source = Files.createTempDirectory(directory, "program").resolve("App.java");
        Map<Boolean, String> parts =
                statements.lines().collect(partitioningBy(line -> line.startsWith("import "), joining("\n")));
        Files.writeString(source, """
                import static java.nio.charset.StandardCharsets.UTF_8;
                import io.github.jobstream.*;
                import java.nio.file.*;
                import java.time.Duration;
                import java.util.*;
                %s

                public class App {
                    public static void main(String[] arguments) throws Exception {
                %s
                    }
                }
                """.formatted(parts.get(true), parts.get(false)));
        String java = ProcessHandle.current().info().command().orElse("java");
        List<String> command = List.of(
                java, "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"), source.toString());
        ProcessBuilder builder = new ProcessBuilder(command).directory(directory.toFile());
        builder.environment().putAll(environment);
        Process process = builder.redirectErrorStream(true).start();
        String printed = new String(process.getInputStream().readAllBytes(), UTF_8);
        process.waitFor();
        return printed;
    }
}
