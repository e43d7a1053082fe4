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
 * Runs jobs of a server, wherever this process is. It connects, and connects again whenever the connection broke,
 * keeping the attempts that run; if that takes longer than their leases last it stops them, because the server gives
 * their jobs to others.
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
    /** What the server gets to end a stream after the worker closed its side. */
    private static final Duration CLOSE_TIME_MAX = Duration.ofMillis(500);

    private final Builder setup;
    private final Ledger ledger;
    private final Desk desk;
    private final Session session;
    private final ExecutorService ownExecutor;
    private final CountDownLatch ended = new CountDownLatch(1);
    private boolean hasStarted;
    private boolean isDraining;
    private volatile long drainNanos = Long.MAX_VALUE;

    private Worker(Builder setup) {
        this.setup = setup;
        ownExecutor = setup.executor == null ? attemptThreads(setup.name) : null;
        ledger = new Ledger(setup.slots);
        desk = new Desk(Map.copyOf(setup.handlers), ownExecutor == null ? setup.executor : ownExecutor, ledger);
        Hello hello = Hello.newBuilder()
                .setProtocolVersion(PROTOCOL_VERSION)
                .setName(setup.name)
                .setInstanceId(UUID.randomUUID().toString())
                .addAllKinds(setup.handlers.keySet())
                .addAllQueues(setup.queues)
                .setSdk(Version.SDK)
                .setMessageBytesMax(setup.client.calls().options().messageBytesMax)
                .build();
        session = new Session(setup.client.calls(), hello, ledger, desk, setup.onConnected, this::beginDrain);
    }

    /** Begins to describe a worker of this client's server. The client must stay open for as long as the worker. */
    public static Builder builder(Client client) {
        return new Builder(client);
    }

    /**
     * Runs jobs until the worker was drained: by SIGTERM or SIGINT, unless the builder said otherwise, by an operator,
     * or by another thread. What runs then may finish, within the builder's time.
     *
     * @throws JobstreamException if the server refuses the worker, and would again
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
                    ErrorFacts.of(Status.Code.CANCELLED, "", message).withCause(interrupted));
        }
        if (session.refusal() != null) {
            throw session.refusal();
        }
    }

    /** Begins to run jobs and returns at once. The process stays until the worker has ended. */
    public synchronized Worker start() {
        if (hasStarted) {
            throw new IllegalStateException(
                    "worker " + setup.name + " was started before: build another one to run again");
        }
        hasStarted = true;
        thread("worker-" + setup.name, false, this::keep).start();
        return this;
    }

    /**
     * Takes no new jobs, lets what runs finish within this long, gives back the rest, which counts no attempt, and
     * returns once the worker has ended.
     */
    public void drain(Duration within) {
        beginDrain(within);
        awaitEnd();
    }

    /** Gives everything back at once and returns once the worker has ended; handlers are interrupted. */
    public void stop() {
        drain(Duration.ZERO);
    }

    /** Drains the worker, within the builder's time. */
    @Override
    public void close() {
        drain(setup.drainTimeout);
    }

    /** The session and, after it, the end. */
    private void keep() {
        try {
            session.run();
        } finally {
            if (ownExecutor != null) {
                ownExecutor.shutdown();
            }
            ended.countDown();
        }
    }

    /** Begins to drain, within the builder's time. */
    void beginDrain() {
        beginDrain(setup.drainTimeout);
    }

    /** Begins to drain, or to do so sooner; an earlier time that was given stands. */
    void beginDrain(Duration within) {
        synchronized (this) {
            drainNanos = Math.min(drainNanos, System.nanoTime() + Waits.nanos(within));
            if (!hasStarted) {
                hasStarted = true;
                ended.countDown();
            }
            if (!isDraining) {
                isDraining = true;
                thread("drain-" + setup.name, true, this::windUp).start();
            }
        }
        desk.wake();
    }

    private void windUp() {
        ledger.setSlots(0);
        new WindUp(desk, ledger, () -> drainNanos, () -> ended.getCount() == 0).run();
        session.finish();
        try {
            if (!ended.await(CLOSE_TIME_MAX.toMillis(), TimeUnit.MILLISECONDS)) {
                session.cut();
            }
        } catch (InterruptedException interrupted) {
            session.cut();
        }
    }

    /** Not cut short by an interrupt: the end is near, and what comes after relies on it. */
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

    /** Logs. What the program's logs throw is no reason to end a worker. */
    static void tell(Level level, Supplier<String> message, Throwable why) {
        try {
            LOG.log(level, message, why);
        } catch (RuntimeException | Error broken) {
            // Nowhere is left to say so.
        }
    }

    static Thread thread(String name, boolean isDaemon, Runnable task) {
        Thread thread = new Thread(task, "jobstream-" + name);
        thread.setDaemon(isDaemon);
        return thread;
    }

    /** As many threads as attempts; the server keeps to the slots. Handlers that do not stop hold up no exit. */
    private static ExecutorService attemptThreads(String name) {
        AtomicInteger count = new AtomicInteger();
        return Executors.newCachedThreadPool(
                task -> thread("attempt-" + name + "-" + count.incrementAndGet(), true, task));
    }

    /** What a worker is and does. Every setter answers the same object; the server checks names. */
    public static final class Builder {
        private final Client client;
        private final Map<String, HandlerEntry> handlers = new LinkedHashMap<>();
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

        /** For people, shown with each attempt: 1 to 128 characters of {@code [A-Za-z0-9._:/-]}. Default java. */
        public Builder name(String name) {
            this.name = Objects.requireNonNull(name, "name");
            return this;
        }

        /** Queues that are served; at most 1,000. Default: all. */
        public Builder queues(String... queues) {
            this.queues.addAll(List.of(queues));
            return this;
        }

        /** How many attempts run at a time, at most 100,000. Default 16. */
        public Builder slots(int slots) {
            if (slots < 1) {
                throw new IllegalArgumentException("slots is " + slots + ": use 1 or more");
            }
            this.slots = slots;
            return this;
        }

        /** Runs the jobs of a kind, whose input is read as this type. */
        public <I> Builder handle(String kind, Class<I> inputType, Handler<? super I, ?> handler) {
            return add(kind, inputType, handler);
        }

        /** Runs the jobs of a kind, whose input is of a generic type. */
        public <I> Builder handle(String kind, TypeReference<I> inputType, Handler<? super I, ?> handler) {
            return add(kind, inputType.getType(), handler);
        }

        /** What running attempts get to finish when the worker is drained by a signal or closed. Default 10 s. */
        public Builder drainTimeout(Duration timeout) {
            drainTimeout = Objects.requireNonNull(timeout, "timeout");
            return this;
        }

        /**
         * Whether SIGTERM and SIGINT drain the worker while {@link Worker#run} runs, instead of ending the process; a
         * second one stops it at once. Say false where something else minds signals, and have that call {@link
         * Worker#drain}. Default true.
         */
        public Builder drainOnSignals(boolean drainOnSignals) {
            this.drainOnSignals = drainOnSignals;
            return this;
        }

        /**
         * Runs attempts on this executor, which the caller shuts down: one of virtual threads, say. It must run as many
         * tasks at a time as there are slots. Default: a thread for each attempt.
         */
        public Builder executor(ExecutorService executor) {
            this.executor = Objects.requireNonNull(executor, "executor");
            return this;
        }

        /** Is told, each time the worker has connected, what the server calls it. Must not block. */
        public Builder onConnected(Consumer<String> onConnected) {
            this.onConnected = Objects.requireNonNull(onConnected, "onConnected");
            return this;
        }

        /** The worker, which begins with {@link Worker#run} or {@link Worker#start}. */
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
            @SuppressWarnings("unchecked") // It is only given what was read as its input type.
            Handler<Object, ?> unchecked = (Handler<Object, ?>) Objects.requireNonNull(handler, "handler");
            HandlerEntry entry = new HandlerEntry(unchecked, client.codec().type(inputType), client.codec());
            if (handlers.putIfAbsent(Objects.requireNonNull(kind, "kind"), entry) != null) {
                throw new IllegalArgumentException(
                        "kind \"" + kind + "\" has a handler already: use one for each kind");
            }
            return this;
        }
    }
}
