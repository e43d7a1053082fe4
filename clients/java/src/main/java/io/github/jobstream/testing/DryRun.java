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
 * Runs a handler without a server on the calling thread and records its events.
 *
 * <pre>{@code
 * DryRun dryRun = new DryRun();
 * Thumb thumb = dryRun.run(new Resizer(), new Resize(64));
 * assertEquals(OptionalDouble.of(1), dryRun.events(JobEvent.Progress.class).get(0).fraction());
 * }</pre>
 */
public final class DryRun {
    private final String jobId = UUID.randomUUID().toString();
    private final List<JobEvent> events = new CopyOnWriteArrayList<>();
    private final Instant deadline = Instant.now().plus(Duration.ofHours(1));
    private int attempt = 1;
    private Map<String, String> headers = Map.of();
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

    /** Sets the undecoded input of the context. Default empty. */
    public DryRun payload(Payload payload) {
        this.payload = payload;
        return this;
    }

    /** Cancels the attempt, before or during the run, from any thread. */
    public void cancel() {
        isCancelled = true;
    }

    /** Runs the handler once. Returns its result and throws its exceptions. */
    public <I, O> O run(Handler<I, O> handler, I input) throws Exception {
        return handler.handle(input, new Context());
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
        public boolean isCancelled() {
            return isCancelled;
        }

        private long nextSequence() {
            return events.size() + 1L;
        }

        private void add(JobEvent event) {
            events.add(event);
        }
    }
}
