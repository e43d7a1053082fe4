package io.github.jobstream.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import io.github.jobstream.HandlerInterceptor;
import io.github.jobstream.Payload;
import io.github.jobstream.SubmitInterceptor;
import java.util.List;
import java.util.stream.StreamSupport;

/** The interceptors of the agent. Each adds its name to what it changes. */
final class Interceptors {
    private Interceptors() {}

    static List<SubmitInterceptor> ofSubmits(JsonNode fields) {
        return names(fields).stream().map(Interceptors::ofSubmits).toList();
    }

    static List<HandlerInterceptor> ofHandlers(JsonNode fields) {
        return names(fields).stream().map(Interceptors::ofHandlers).toList();
    }

    private static List<String> names(JsonNode fields) {
        return StreamSupport.stream(fields.path("interceptors").spliterator(), false)
                .map(JsonNode::textValue)
                .toList();
    }

    private static SubmitInterceptor ofSubmits(String name) {
        return (job, next) -> next.submit(job.withPayload(named(job.payload(), name))
                .withHeader("by", job.headers().getOrDefault("by", "") + name));
    }

    private static HandlerInterceptor ofHandlers(String name) {
        return (context, next) -> named(next.run(named(context.payload(), name)), name);
    }

    private static Payload named(Payload payload, String name) {
        if (name.equals("refuse")) {
            throw new IllegalStateException("refused");
        }
        return Payload.json(payload.asJson(ArrayNode.class).add(name).toString());
    }
}
