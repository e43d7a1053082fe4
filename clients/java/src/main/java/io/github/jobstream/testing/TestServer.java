package io.github.jobstream.testing;

import io.github.jobstream.Client;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A real server, in memory, on a free port of the loopback interface. It ends when it is closed, and with this process.
 *
 * <p>It runs {@code jobstream dev}: the program named by the environment variable {@code JOBSTREAM_BIN}, else {@code
 * jobstream} on the path.
 */
public final class TestServer implements AutoCloseable {
    private static final Pattern BANNER = Pattern.compile("^\\s*gRPC\\s+([^\\s,]+)");
    private static final int START_SECONDS_MAX = 30;
    private static final int STOP_SECONDS_MAX = 5;
    private static final String FREE_PORT = "127.0.0.1:0";

    private final Process process;
    private final Thread endWithUs;
    private final String address;

    private TestServer(Process process) {
        this.process = process;
        endWithUs = new Thread(process::destroyForcibly, "jobstream-test-server-end");
        Runtime.getRuntime().addShutdownHook(endWithUs);
        address = "http://" + awaitAddress();
    }

    /**
     * Starts a server and waits until it takes calls.
     *
     * @throws IllegalStateException with what the server said, if it did not start
     */
    public static TestServer start() {
        return startAt(FREE_PORT);
    }

    /** Starts a server that listens at this address, such as that of one that was closed. */
    public static TestServer startAt(String listen) {
        String program = System.getenv().getOrDefault("JOBSTREAM_BIN", "jobstream");
        List<String> command = List.of(program, "dev", "--listen", listen, "--demo=false");
        try {
            return new TestServer(
                    new ProcessBuilder(command).redirectErrorStream(true).start());
        } catch (IOException error) {
            throw new IllegalStateException(
                    program + " does not start: put jobstream on the path, or name it in JOBSTREAM_BIN", error);
        }
    }

    /** Where the server is, as {@code http://127.0.0.1:port}. */
    public String address() {
        return address;
    }

    /** A client of it, which the caller closes. */
    public Client connect() {
        return Client.connect(address);
    }

    /** Ends the server at once, as a crash does: every job is lost. */
    public void kill() {
        process.destroyForcibly();
        awaitEnd();
    }

    /** Ends the server. */
    @Override
    public void close() {
        kill();
        try {
            Runtime.getRuntime().removeShutdownHook(endWithUs);
        } catch (IllegalStateException ending) {
            // This process ends; the hook may run and finds nothing to do.
        }
    }

    private void awaitEnd() {
        try {
            process.waitFor(STOP_SECONDS_MAX, TimeUnit.SECONDS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private String awaitAddress() {
        CompletableFuture<String> found = new CompletableFuture<>();
        Thread reader = new Thread(() -> read(found), "jobstream-test-server");
        reader.setDaemon(true);
        reader.start();
        try {
            return found.get(START_SECONDS_MAX, TimeUnit.SECONDS);
        } catch (ExecutionException failed) {
            close();
            throw new IllegalStateException(failed.getCause().getMessage(), failed.getCause());
        } catch (TimeoutException passed) {
            close();
            throw new IllegalStateException("the server did not say where it listens in " + START_SECONDS_MAX + " s");
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            close();
            throw new IllegalStateException("interrupted while the server started", interrupted);
        }
    }

    /** Reads to the end, lest the server wait for room in the pipe. */
    private void read(CompletableFuture<String> found) {
        List<String> said = new ArrayList<>();
        try (BufferedReader output =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = output.readLine(); line != null; line = output.readLine()) {
                Matcher banner = BANNER.matcher(line);
                if (banner.find()) {
                    found.complete(banner.group(1));
                } else if (!found.isDone()) {
                    said.add(line);
                }
            }
        } catch (IOException error) {
            found.completeExceptionally(new UncheckedIOException(error));
        }
        found.completeExceptionally(
                new IllegalStateException("the server ended before it took calls: " + String.join("\n", said)));
    }
}
