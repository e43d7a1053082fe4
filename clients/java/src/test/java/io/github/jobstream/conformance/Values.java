package io.github.jobstream.conformance;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.jobstream.JobEvent;
import io.github.jobstream.Payload;
import java.time.Duration;
import java.util.Base64;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Converts values of the client to and from the agent protocol. */
final class Values {
    static final ObjectMapper MAPPER = JsonMapper.builder()
            .enable(DeserializationFeature.USE_BIG_INTEGER_FOR_INTS)
            .build();

    private Values() {}

    static ObjectNode object() {
        return MAPPER.createObjectNode();
    }

    static Optional<Duration> duration(JsonNode fields, String name) {
        return Optional.ofNullable(fields.get(name)).map(millis -> Duration.ofMillis(millis.longValue()));
    }

    static Map<String, String> strings(JsonNode fields) {
        Map<String, String> strings = new HashMap<>();
        fields.properties()
                .forEach(field -> strings.put(field.getKey(), field.getValue().textValue()));
        return strings;
    }

    /** Converts a payload to an input. */
    static Object input(JsonNode payload) throws JsonProcessingException {
        return switch (payload.required("type").textValue()) {
            case "json" -> MAPPER.readValue(payload.required("text").textValue(), Object.class);
            default -> payload(payload);
        };
    }

    static Payload payload(JsonNode payload) {
        return switch (payload.required("type").textValue()) {
            case "json" -> Payload.json(payload.required("text").textValue());
            case "text" -> Payload.text(payload.required("text").textValue());
            default ->
                Payload.data(
                        Base64.getDecoder().decode(payload.required("base64").textValue()),
                        payload.path("content_type").asText(""));
        };
    }

    /** Decodes JSON; null for anything else. */
    static Object read(Payload payload) throws JsonProcessingException {
        return payload.isJson() ? MAPPER.readValue(payload.asText(), Object.class) : null;
    }

    static ObjectNode encode(Payload payload, Object value) throws JsonProcessingException {
        if (payload.isJson()) {
            return object().put("type", "json").put("text", MAPPER.writeValueAsString(value));
        }
        return encode(payload);
    }

    static ObjectNode event(JobEvent event) {
        if (event instanceof JobEvent.StateChange change) {
            ObjectNode item = item("state", event, change.attempt())
                    .put("state", change.state().name());
            change.failure().ifPresent(failure -> item.put("failure", failure.message()));
            return item;
        }
        if (event instanceof JobEvent.Progress progress) {
            ObjectNode item = item("progress", event, progress.attempt())
                    .put("message", progress.message())
                    .put("unit", progress.unit());
            progress.fraction().ifPresent(fraction -> item.put("fraction", fraction));
            progress.done().ifPresent(done -> item.put("done", done));
            progress.total().ifPresent(total -> item.put("total", total));
            return item;
        }
        if (event instanceof JobEvent.Output output) {
            ObjectNode item = item("output", event, output.attempt()).put("channel", output.channel());
            return item.set("payload", encode(output.payload()));
        }
        if (event instanceof JobEvent.Log log) {
            String level = log.level().name().toLowerCase(Locale.ROOT);
            return item("log", event, log.attempt()).put("text", log.text()).put("level", level);
        }
        JobEvent.Gap gap = (JobEvent.Gap) event;
        return object().put("type", "gap").put("first", gap.first()).put("last", gap.last());
    }

    private static ObjectNode item(String type, JobEvent event, int attempt) {
        return object().put("type", type).put("sequence", event.sequence()).put("attempt", attempt);
    }

    private static ObjectNode encode(Payload payload) {
        if (payload.isJson()) {
            return object().put("type", "json").put("text", payload.asText());
        }
        if (payload.isText()) {
            return object().put("type", "text").put("text", payload.asText());
        }
        return object().put("type", "data")
                .put("base64", Base64.getEncoder().encodeToString(payload.bytes()))
                .put("content_type", payload.contentType());
    }
}
