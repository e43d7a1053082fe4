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
 * A real server in memory mode on a free port of the loopback interface. It is stopped when it is closed, and when this
 * process exits.
 *
 * <p>It runs {@code jobstream dev}. The binary is that of the environment variable {@code JOBSTREAM_BIN}, else {@code
 * jobstream} in PATH.
 */
public final class TestServer implements AutoCloseable {
    private static final Pattern BANNER = Pattern.compile("^\\s*gRPC\\s+([^\\s,]+)");
    private static final int START_SECONDS_MAX = 30;
    private static final int STOP_SECONDS_MAX = 5;
    private static final String FREE_PORT = "127.0.0.1:0";

    private final Process process;
    private final Thread shutdownHook;
    private final String address;

    private TestServer(Process process) {
        this.process = process;
        shutdownHook = new Thread(process::destroyForcibly, "jobstream-test-server-end");
        Runtime.getRuntime().addShutdownHook(shutdownHook);
        String printed = awaitAddress();
        address = printed.contains("://") ? printed : "http://" + printed;
    }

    /**
     * Starts a server and waits until it accepts calls.
     *
     * @throws IllegalStateException with the output of the server, if it did not start
     */
    public static TestServer start() {
        return startAt(FREE_PORT);
    }

    /** Starts a server like {@link #start}, with further arguments of {@code jobstream dev}, such as {@code --tls-cert}. */
    public static TestServer startWith(String... arguments) {
        return startAt(FREE_PORT, arguments);
    }

    /** Starts a server at this address, for example that of a closed one. */
    public static TestServer startAt(String listen) {
        return startAt(listen, new String[0]);
    }

    /** Starts a server at this address with further arguments, like {@link #startWith}. */
    public static TestServer startAt(String listen, String... arguments) {
        String program = System.getenv().getOrDefault("JOBSTREAM_BIN", "jobstream");
        List<String> command = new ArrayList<>(List.of(program, "dev", "--listen", listen, "--demo=false"));
        command.addAll(List.of(arguments));
        try {
            return new TestServer(
                    new ProcessBuilder(command).redirectErrorStream(true).start());
        } catch (IOException error) {
            throw new IllegalStateException(
                    program + " cannot be started: add jobstream to PATH or set JOBSTREAM_BIN", error);
        }
    }

    /** The address of the server, as {@code http://127.0.0.1:port}, with {@code --tls-cert} as {@code https://...}. */
    public String address() {
        return address;
    }

    /** Creates a client of the server. The caller closes it. */
    public Client connect() {
        return Client.connect(address);
    }

    /** Kills the server. Every job is lost. */
    public void kill() {
        process.destroyForcibly();
        awaitEnd();
    }

    /** Stops the server. */
    @Override
    public void close() {
        kill();
        try {
            Runtime.getRuntime().removeShutdownHook(shutdownHook);
        } catch (IllegalStateException ending) {
            // The process is shutting down, so the hook stops the server.
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
            throw new IllegalStateException("the server printed no address within " + START_SECONDS_MAX + " s");
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            close();
            throw new IllegalStateException("interrupted while the server started", interrupted);
        }
    }

    /** Reads all output, so that the server never blocks on a full pipe. */
    private void read(CompletableFuture<String> found) {
        List<String> printed = new ArrayList<>();
        try (BufferedReader output =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = output.readLine(); line != null; line = output.readLine()) {
                Matcher banner = BANNER.matcher(line);
                if (banner.find()) {
                    found.complete(banner.group(1));
                } else if (!found.isDone()) {
                    printed.add(line);
                }
            }
        } catch (IOException error) {
            found.completeExceptionally(new UncheckedIOException(error));
        }
        found.completeExceptionally(new IllegalStateException(
                "the server ended before it printed its address: " + String.join("\n", printed)));
    }
}
