package io.github.jobstream.testing;

import io.github.jobstream.Handler;
import io.github.jobstream.JobContext;
import io.github.jobstream.JobEvent;
import io.github.jobstream.LogLevel;
import io.github.jobstream.Payload;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * Runs a handler without a server, on the calling thread, and keeps what it told.
 *
 * <pre>{@code
 * Rehearsal rehearsal = new Rehearsal();
 * Thumb thumb = rehearsal.run(new Resizer(), new Resize(64));
 * assertEquals(1.0, rehearsal.told(JobEvent.Progress.class).get(0).fraction().getAsDouble());
 * }</pre>
 */
public final class Rehearsal {
    private final String jobId = UUID.randomUUID().toString();
    private final List<JobEvent> told = new CopyOnWriteArrayList<>();
    private final Instant deadline = Instant.now().plus(Duration.ofHours(1));
    private int attempt = 1;
    private Map<String, String> headers = Map.of();
    private Payload payload = Payload.empty();
    private volatile boolean isCancelled;

    /** The number that the handler is told of its attempt. Default 1. */
    public Rehearsal attempt(int attempt) {
        this.attempt = attempt;
        return this;
    }

    /** The headers that the handler is told. Default none. */
    public Rehearsal headers(Map<String, String> headers) {
        this.headers = Map.copyOf(headers);
        return this;
    }

    /** The raw input that the handler is told beside the one it is called with. Default empty. */
    public Rehearsal payload(Payload payload) {
        this.payload = payload;
        return this;
    }

    /** Tells the handler to stop, from any thread; before the run it is told so from the start. */
    public void cancel() {
        isCancelled = true;
    }

    /** Runs the handler once. Answers and throws what it does. */
    public <I, O> O run(Handler<I, O> handler, I input) throws Exception {
        return handler.handle(input, new Context());
    }

    /** What the handler told: progress, output and logs, in order. */
    public List<JobEvent> told() {
        return List.copyOf(told);
    }

    /** What the handler told of one type. */
    public <E extends JobEvent> List<E> told(Class<E> type) {
        return told.stream().filter(type::isInstance).map(type::cast).toList();
    }

    private final class Context implements JobContext {
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
            return "rehearsal";
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
        public Payload payload() {
            return payload;
        }

        @Override
        public void progress(double fraction, String message) {
            add(new JobEvent.Progress(
                    next(),
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
                    next(),
                    Instant.now(),
                    attempt,
                    OptionalDouble.of(done / total),
                    OptionalDouble.of(done),
                    OptionalDouble.of(total),
                    unit,
                    ""));
        }

        @Override
        public void output(Payload chunk, String channel) {
            add(new JobEvent.Output(next(), Instant.now(), attempt, chunk, channel));
        }

        @Override
        public void log(String text, LogLevel level) {
            add(new JobEvent.Log(next(), Instant.now(), attempt, level, text));
        }

        @Override
        public boolean isCancelled() {
            return isCancelled;
        }

        private long next() {
            return told.size() + 1L;
        }

        private void add(JobEvent event) {
            told.add(event);
        }
    }
}
