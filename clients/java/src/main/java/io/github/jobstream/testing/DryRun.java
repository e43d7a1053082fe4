package io.github.jobstream.testing;

import io.github.jobstream.Handler;
import io.github.jobstream.JobContext;
import io.github.jobstream.JobEvent;
import io.github.jobstream.JobstreamException;
import io.github.jobstream.LogLevel;
import io.github.jobstream.Payload;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;

/**
 * Runs a handler without a server on the calling thread and records its events.
 *
 * <pre>{@code
 * DryRun dryRun = new DryRun();
 * Thumb thumb = dryRun.run(new Resizer(), new Resize(64));
 * assertEquals(OptionalDouble.of(1), dryRun.events(JobEvent.Progress.class).get(0).fraction());
 * }</pre>
 */
public final class DryRun {
    private static final System.Logger LOG = System.getLogger("io.github.jobstream");

    private final String jobId = UUID.randomUUID().toString();
    private final List<JobEvent> events = new CopyOnWriteArrayList<>();
    private final Instant deadline = Instant.now().plus(Duration.ofHours(1));
    private int attempt = 1;
    private Map<String, String> headers = Map.of();
    private Map<String, String> labels = Map.of();
    private Payload payload = Payload.empty();
    private volatile boolean isCancelled;

    /** Sets the attempt number. Default 1. */
    public DryRun attempt(int attempt) {
        this.attempt = attempt;
        return this;
    }

    /** Sets the headers. Default none. */
    public DryRun headers(Map<String, String> headers) {
        this.headers = Map.copyOf(headers);
        return this;
    }

    /** Sets the labels. Default none. */
    public DryRun labels(Map<String, String> labels) {
        this.labels = Map.copyOf(labels);
        return this;
    }

    /** Sets the undecoded input of the context. Default empty. */
    public DryRun payload(Payload payload) {
        this.payload = payload;
        return this;
    }

    /** Cancels the attempt, before or during the run, from any thread. */
    public void cancel() {
        isCancelled = true;
    }

    /**
     * Runs the handler once. Returns its result and throws its exceptions. The callbacks of {@link JobContext#onSettled} are
     * called without an error.
     */
    public <I, O> O run(Handler<I, O> handler, I input) throws Exception {
        Context context = new Context();
        try {
            return handler.handle(input, context);
        } finally {
            context.settle();
        }
    }

    /** The progress, output and log events of the handler, in order. */
    public List<JobEvent> events() {
        return List.copyOf(events);
    }

    /** The events of one type. */
    public <E extends JobEvent> List<E> events(Class<E> type) {
        return events.stream().filter(type::isInstance).map(type::cast).toList();
    }

    private final class Context implements JobContext {
        /** Null once the handler has returned. */
        private List<Consumer<Optional<JobstreamException>>> callbacks = new ArrayList<>();

        @Override
        public String jobId() {
            return jobId;
        }

        @Override
        public int attempt() {
            return attempt;
        }

        @Override
        public String kind() {
            return "dry-run";
        }

        @Override
        public String queue() {
            return "default";
        }

        @Override
        public Instant deadline() {
            return deadline;
        }

        @Override
        public Map<String, String> headers() {
            return headers;
        }

        @Override
        public Map<String, String> labels() {
            return labels;
        }

        @Override
        public Payload payload() {
            return payload;
        }

        @Override
        public void progress(double fraction, String message) {
            add(new JobEvent.Progress(
                    nextSequence(),
                    Instant.now(),
                    attempt,
                    OptionalDouble.of(fraction),
                    OptionalDouble.empty(),
                    OptionalDouble.empty(),
                    "",
                    message));
        }

        @Override
        public void progressOf(double done, double total, String unit) {
            add(new JobEvent.Progress(
                    nextSequence(),
                    Instant.now(),
                    attempt,
                    JobEvent.Progress.fractionOf(done, total),
                    OptionalDouble.of(done),
                    OptionalDouble.of(total),
                    unit,
                    ""));
        }

        @Override
        public void output(Payload chunk, String channel) {
            add(new JobEvent.Output(nextSequence(), Instant.now(), attempt, chunk, channel));
        }

        @Override
        public void log(String text, LogLevel level) {
            add(new JobEvent.Log(nextSequence(), Instant.now(), attempt, level, text));
        }

        @Override
        public synchronized void onSettled(Consumer<Optional<JobstreamException>> callback) {
            if (callbacks != null) {
                callbacks.add(callback);
            }
        }

        @Override
        public boolean isCancelled() {
            return isCancelled;
        }

        private void settle() {
            List<Consumer<Optional<JobstreamException>>> registered;
            synchronized (this) {
                registered = callbacks;
                callbacks = null;
            }
            for (Consumer<Optional<JobstreamException>> callback : registered) {
                try {
                    callback.accept(Optional.empty());
                } catch (RuntimeException | Error broken) {
                    LOG.log(Level.WARNING, "a callback of onSettled failed in a dry run", broken);
                }
            }
        }

        private long nextSequence() {
            return events.size() + 1L;
        }

        private void add(JobEvent event) {
            events.add(event);
        }
    }
}
