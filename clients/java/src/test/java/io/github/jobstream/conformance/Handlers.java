package io.github.jobstream.conformance;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jobstream.JobContext;
import io.github.jobstream.LogLevel;
import io.github.jobstream.Payload;
import io.github.jobstream.PermanentException;
import io.github.jobstream.RetryLaterException;
import io.github.jobstream.TraceContext;
import io.github.jobstream.Worker;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;

/** The handlers of the agent, one per behaviour. */
final class Handlers {
    private static final Duration LATER = Duration.ofMillis(50);

    /** The results that `hold` handlers wait for, by job id. */
    private final Map<String, CompletableFuture<Payload>> held = new ConcurrentHashMap<>();

    record Emit(int chunks) {}

    record Count(int done, int total) {}

    record Fail(String mode, String message) {}

    record Typed(int width) {}

    void add(Worker.Builder builder, String kind, String behaviour, Agent.Command command) {
        switch (behaviour) {
            case "echo" -> builder.handle(kind, Object.class, Handlers::echo);
            case "stream" -> builder.handle(kind, Object.class, Handlers::stream);
            case "info" -> builder.handle(kind, Object.class, (input, context) -> info(context));
            case "trace" -> builder.handle(kind, Object.class, (input, context) -> trace(context));
            case "emit" -> builder.handle(kind, Emit.class, Handlers::emit);
            case "count" -> builder.handle(kind, Count.class, Handlers::count);
            case "fail" -> builder.handle(kind, Fail.class, (input, context) -> fail(input));
            case "typed" -> builder.handle(kind, Typed.class, (input, context) -> 2 * input.width);
            case "hold" -> builder.handle(kind, Object.class, (input, context) -> hold(context, command));
            case "ignore_cancel" ->
                builder.handle(kind, Object.class, (input, context) -> ignoreCancel(context, command));
            default -> throw new IllegalArgumentException("unknown behaviour: " + behaviour);
        }
    }

    ObjectNode release(String jobId, Payload payload) {
        CompletableFuture<Payload> result = held.get(jobId);
        if (result == null) {
            throw new IllegalStateException("no handler holds job " + jobId);
        }
        result.complete(payload);
        return null;
    }

    private static Object echo(Object input, JobContext context) {
        Payload payload = context.payload();
        if (payload.isJson()) {
            return input;
        }
        return payload.isText() ? Payload.text((String) input) : Payload.data((byte[]) input, payload.contentType());
    }

    private static Object stream(Object input, JobContext context) throws JsonProcessingException {
        Object result = echo(input, context);
        boolean isPayload = result instanceof Payload;
        context.output(isPayload ? (Payload) result : Payload.json(Values.MAPPER.writeValueAsString(result)), "out");
        return result;
    }

    private static Object info(JobContext context) {
        return Map.of(
                "job_id", context.jobId(),
                "attempt", context.attempt(),
                "kind", context.kind(),
                "queue", context.queue(),
                "headers", context.headers(),
                "deadline", Duration.between(Instant.now(), context.deadline()).toMillis());
    }

    private static Object trace(JobContext context) {
        TraceContext trace = context.traceContext().orElse(TraceContext.of(""));
        return Map.of("traceparent", trace.traceparent(), "tracestate", trace.tracestate(), "baggage", trace.baggage());
    }

    private static int emit(Emit input, JobContext context) {
        for (int i = 1; i <= input.chunks; i++) {
            context.progress((double) i / input.chunks, "step " + i);
            context.output("chunk " + i, "out");
            context.log("line " + i, LogLevel.WARN);
        }
        return input.chunks;
    }

    private static int count(Count input, JobContext context) {
        context.progressOf(input.done, input.total, "steps");
        return input.done;
    }

    private static Object fail(Fail input) {
        switch (input.mode) {
            case "permanent" -> throw new PermanentException(input.message);
            case "later" -> throw new RetryLaterException(LATER, input.message);
            case "panic" -> throw new StackOverflowError(input.message);
            default -> throw new IllegalArgumentException(input.message);
        }
    }

    private Payload hold(JobContext context, Agent.Command command) throws Exception {
        CompletableFuture<Payload> result = begin(context, command);
        try {
            return result.get();
        } catch (InterruptedException interrupted) {
            command.emit(Values.object().put("type", "cancelled").put("job_id", context.jobId()));
            throw interrupted;
        } finally {
            held.remove(context.jobId(), result);
        }
    }

    private Payload ignoreCancel(JobContext context, Agent.Command command) throws ExecutionException {
        CompletableFuture<Payload> result = begin(context, command);
        while (true) {
            try {
                return result.get();
            } catch (InterruptedException unheeded) {
                // Ignores the interrupt, as this behaviour requires.
            }
        }
    }

    private CompletableFuture<Payload> begin(JobContext context, Agent.Command command) {
        CompletableFuture<Payload> result = new CompletableFuture<>();
        held.put(context.jobId(), result);
        context.onSettled(error -> command.emit(Values.object()
                .put("type", "settled")
                .put("job_id", context.jobId())
                .set("error", error.map(ErrorLines::of).orElse(null))));
        command.emit(Values.object()
                .put("type", "started")
                .put("job_id", context.jobId())
                .put("attempt", context.attempt()));
        return result;
    }
}
