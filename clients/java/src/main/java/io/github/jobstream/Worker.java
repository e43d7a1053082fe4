package io.github.jobstream;

import com.fasterxml.jackson.core.type.TypeReference;
import io.github.jobstream.v1.Hello;
import io.grpc.Status;
import java.lang.System.Logger.Level;
import java.lang.reflect.Type;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Runs jobs of a server. If the connection breaks, the worker reconnects and continues its attempts. If their leases
 * expire before that, it cancels them, because the server assigns their jobs to other workers.
 *
 * <pre>{@code
 * Worker.builder(client)
 *         .name("thumbnails")
 *         .slots(8)
 *         .handle("resize", Resize.class, (input, context) -> new Thumb(input.width()))
 *         .build()
 *         .run();
 * }</pre>
 */
public final class Worker implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger("io.github.jobstream");
    private static final int PROTOCOL_VERSION = 1;
    /** Time to wait for the server to close the stream. */
    private static final Duration CLOSE_TIME_MAX = Duration.ofMillis(500);

    private final Builder setup;
    private final ReportBuffer reports;
    private final FailureLog failures;
    private final AttemptRunner runner;
    private final Session session;
    private final ExecutorService ownExecutor;
    private final CountDownLatch ended = new CountDownLatch(1);
    private boolean hasStarted;
    private boolean isDraining;
    private volatile long drainNanos = Long.MAX_VALUE;

    private Worker(Builder setup) {
        this.setup = setup;
        ownExecutor = setup.executor == null ? attemptThreads(setup.name) : null;
        reports = new ReportBuffer(setup.slots);
        failures = new FailureLog(setup.client.calls()::after);
        runner = new AttemptRunner(
                Map.copyOf(setup.handlers),
                List.copyOf(setup.interceptors),
                ownExecutor == null ? setup.executor : ownExecutor,
                reports,
                failures);
        Hello hello = Hello.newBuilder()
                .setProtocolVersion(PROTOCOL_VERSION)
                .setName(setup.name)
                .setInstanceId(UUID.randomUUID().toString())
                .addAllKinds(setup.handlers.keySet())
                .addAllQueues(setup.queues)
                .setSdk(Version.SDK)
                .setMessageBytesMax(setup.client.calls().options().messageBytesMax)
                .build();
        session = new Session(setup.client.calls(), hello, reports, runner, setup.onConnected, this::beginDrain);
    }

    /** Creates a builder of a worker of this client's server. The client must stay open while the worker runs. */
    public static Builder builder(Client client) {
        return new Builder(client);
    }

    /**
     * Runs jobs until the worker is drained by SIGTERM or SIGINT (unless disabled in the builder), by an operator, or
     * by another thread. Running attempts may finish within the drain timeout.
     *
     * @throws JobstreamException if the server rejects the worker permanently
     * @throws WaitInterruptedException if the thread is interrupted, which stops the worker
     */
    public void run() {
        start();
        try (AutoDrain drained = setup.drainOnSignals ? AutoDrain.of(this) : null) {
            ended.await();
        } catch (InterruptedException interrupted) {
            stop();
            Thread.currentThread().interrupt();
            String message = "the thread of worker " + setup.name + " was interrupted: the worker was stopped";
            throw new WaitInterruptedException(
                    ErrorDetails.of(Status.Code.CANCELLED, "", message).withCause(interrupted));
        }
        if (session.fatalError() != null) {
            throw session.fatalError();
        }
    }

    /** Starts the worker and returns immediately. The process stays alive until the worker has ended. */
    public synchronized Worker start() {
        if (hasStarted) {
            throw new IllegalStateException("worker " + setup.name + " was started before: build a new one");
        }
        hasStarted = true;
        thread("worker-" + setup.name, false, this::runSession).start();
        return this;
    }

    /**
     * Drains the worker: accepts no new jobs, waits for running attempts, releases the rest after this time, and
     * returns once the worker has ended. A released attempt does not count.
     */
    public void drain(Duration within) {
        beginDrain(within);
        awaitEnd();
    }

    /** Releases all attempts immediately and returns once the worker has ended. Handlers are interrupted. */
    public void stop() {
        drain(Duration.ZERO);
    }

    /** Drains the worker with the drain timeout of the builder. */
    @Override
    public void close() {
        drain(setup.drainTimeout);
    }

    /** Runs the session and then ends the worker. */
    private void runSession() {
        try {
            session.run();
        } finally {
            if (ownExecutor != null) {
                ownExecutor.shutdown();
            }
            failures.flush();
            reports.settlements().end();
            logEnd(session.fatalError());
            ended.countDown();
        }
    }

    private void logEnd(JobstreamException error) {
        if (error == null) {
            log(Level.INFO, () -> "worker " + setup.name + " is drained", null);
        } else {
            log(Level.ERROR, () -> "worker " + setup.name + " has ended: " + error.getMessage(), null);
        }
    }

    /** Starts to drain with the drain timeout of the builder. */
    void beginDrain() {
        beginDrain(setup.drainTimeout);
    }

    /** Starts to drain with this deadline, or moves the deadline closer. */
    void beginDrain(Duration within) {
        synchronized (this) {
            drainNanos = Math.min(drainNanos, System.nanoTime() + Blocking.nanos(within));
            if (!hasStarted) {
                hasStarted = true;
                ended.countDown();
            }
            if (!isDraining) {
                isDraining = true;
                thread("drain-" + setup.name, true, this::drainAndClose).start();
            }
        }
        runner.wake();
    }

    private void drainAndClose() {
        reports.setSlots(0);
        new Drainer(runner, reports, () -> drainNanos, () -> ended.getCount() == 0).run();
        session.finish();
        try {
            if (!ended.await(CLOSE_TIME_MAX.toMillis(), TimeUnit.MILLISECONDS)) {
                session.abort();
            }
        } catch (InterruptedException interrupted) {
            session.abort();
        }
    }

    /** Ignores interrupts, because the caller relies on the end of the worker, and restores the interrupt status. */
    private void awaitEnd() {
        boolean wasInterrupted = Thread.interrupted();
        while (true) {
            try {
                ended.await();
                break;
            } catch (InterruptedException interrupted) {
                wasInterrupted = true;
            }
        }
        if (wasInterrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Logs. An exception of the logging system must not end the worker. */
    static void log(Level level, Supplier<String> message, Throwable why) {
        try {
            LOG.log(level, message, why);
        } catch (RuntimeException | Error ignored) {
            // The error cannot be logged.
        }
    }

    static Thread thread(String name, boolean isDaemon, Runnable task) {
        Thread thread = new Thread(task, "jobstream-" + name);
        thread.setDaemon(isDaemon);
        return thread;
    }

    /**
     * A thread per attempt; the server limits them to the slots. Daemon threads: handlers that do not stop must not
     * block the exit.
     */
    private static ExecutorService attemptThreads(String name) {
        AtomicInteger count = new AtomicInteger();
        return Executors.newCachedThreadPool(
                task -> thread("attempt-" + name + "-" + count.incrementAndGet(), true, task));
    }

    /** Builds a worker. Every setter returns this object. The server validates the names. */
    public static final class Builder {
        private final Client client;
        private final Map<String, HandlerEntry> handlers = new LinkedHashMap<>();
        private final List<HandlerInterceptor> interceptors = new ArrayList<>();
        private final List<String> queues = new ArrayList<>();
        private String name = "java";
        private int slots = 16;
        private Duration drainTimeout = Duration.ofSeconds(10);
        private boolean drainOnSignals = true;
        private ExecutorService executor;
        private Consumer<String> onConnected = workerId -> {};

        private Builder(Client client) {
            this.client = Objects.requireNonNull(client, "client");
        }

        /**
         * Human-readable name, shown with each attempt: 1 to 128 characters of {@code [A-Za-z0-9._:/-]}. Default java.
         */
        public Builder name(String name) {
            this.name = Objects.requireNonNull(name, "name");
            return this;
        }

        /** Adds queues to serve; at most 1,000. Default: all. */
        public Builder queues(String... queues) {
            this.queues.addAll(List.of(queues));
            return this;
        }

        /** Number of concurrent attempts, at most 100,000. Default 16. */
        public Builder slots(int slots) {
            if (slots < 1) {
                throw new IllegalArgumentException("slots is " + slots + ": must be 1 or more");
            }
            this.slots = slots;
            return this;
        }

        /** Registers the handler of a kind, whose input has this type. */
        public <I> Builder handle(String kind, Class<I> inputType, Handler<? super I, ?> handler) {
            return add(kind, inputType, handler);
        }

        /** Registers the handler of a kind, whose input has a generic type. */
        public <I> Builder handle(String kind, TypeReference<I> inputType, Handler<? super I, ?> handler) {
            return add(kind, inputType.getType(), handler);
        }

        /** Adds an interceptor around each run of a handler. The first is the outermost. */
        public Builder interceptor(HandlerInterceptor interceptor) {
            interceptors.add(Objects.requireNonNull(interceptor, "interceptor"));
            return this;
        }

        /** Time for running attempts to finish when the worker is drained by a signal or closed. Default 10 s. */
        public Builder drainTimeout(Duration timeout) {
            drainTimeout = Objects.requireNonNull(timeout, "timeout");
            return this;
        }

        /**
         * Whether SIGTERM and SIGINT drain the worker while {@link Worker#run} runs, instead of ending the process; a
         * second one stops it. Use false if other code handles signals, and call {@link Worker#drain} from it. Default
         * true.
         */
        public Builder drainOnSignals(boolean drainOnSignals) {
            this.drainOnSignals = drainOnSignals;
            return this;
        }

        /**
         * Runs attempts on this executor, for example one of virtual threads. The caller shuts it down. It must run as
         * many tasks concurrently as there are slots. Default: a thread per attempt.
         */
        public Builder executor(ExecutorService executor) {
            this.executor = Objects.requireNonNull(executor, "executor");
            return this;
        }

        /** Called with the worker id after each connect. Must not block. */
        public Builder onConnected(Consumer<String> onConnected) {
            this.onConnected = Objects.requireNonNull(onConnected, "onConnected");
            return this;
        }

        /** Builds the worker. It starts with {@link Worker#run} or {@link Worker#start}. */
        public Worker build() {
            if (handlers.isEmpty()) {
                throw new IllegalStateException("worker " + name + " has no handler: add one with handle");
            }
            return new Worker(this);
        }

        /** See {@link Worker#run}. */
        public void run() {
            build().run();
        }

        /** See {@link Worker#start}. */
        public Worker start() {
            return build().start();
        }

        private Builder add(String kind, Type inputType, Handler<?, ?> handler) {
            @SuppressWarnings("unchecked") // The handler only receives inputs decoded as its input type.
            Handler<Object, ?> unchecked = (Handler<Object, ?>) Objects.requireNonNull(handler, "handler");
            HandlerEntry entry = new HandlerEntry(unchecked, client.codec().type(inputType), client.codec());
            if (handlers.putIfAbsent(Objects.requireNonNull(kind, "kind"), entry) != null) {
                throw new IllegalArgumentException("kind \"" + kind + "\" already has a handler");
            }
            return this;
        }
    }
}
