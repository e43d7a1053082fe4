package io.github.jobstream;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.grpc.Status;
import java.lang.reflect.Type;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Encodes values to payloads and decodes them: JSON, except bytes, plain text and payloads. */
final class Codec {
    /** Jackson's message for a component of a primitive type without a value. */
    private static final Pattern MISSING = Pattern.compile("Cannot map `null` into type (`\\w+`)");
    /** What Jackson adds for the author of the mapper. */
    private static final Pattern HINT = Pattern.compile(" \\((set DeserializationConfig|but might if coercion).*\\)$");

    private final ObjectMapper mapper;

    Codec(ObjectMapper mapper) {
        this.mapper = mapper;
    }

    static Codec standard() {
        return new Codec(JsonMapper.builder()
                .findAndAddModules()
                // Integers of any size are exact.
                .enable(DeserializationFeature.USE_BIG_INTEGER_FOR_INTS)
                // A value of another type is an error, without coercion.
                .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
                .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
                .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                // Ignores fields of a newer sender.
                .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                .build());
    }

    JavaType type(Type type) {
        return mapper.constructType(type);
    }

    /** Encodes a value, which is {@code field} of a request or a result. */
    Payload encode(String field, Object value) {
        if (value instanceof Payload payload) {
            return payload;
        }
        if (value instanceof byte[] bytes) {
            return Payload.data(bytes);
        }
        try {
            return Payload.json(mapper.writeValueAsString(value));
        } catch (JsonProcessingException error) {
            String type = value.getClass().getName();
            String message = "is a " + type + " that cannot be encoded as JSON: " + describe(error)
                    + ": add properties, or pass a Payload";
            throw new InvalidRequestException(
                    ErrorDetails.of(Status.Code.INVALID_ARGUMENT, "INVALID_FIELD", field + " " + message)
                            .withViolations(List.of(new Violation(field, message)))
                            .withCause(error));
        }
    }

    /**
     * Decodes the content as this type. Text types take plain text, {@code byte[]} takes bytes; everything else is
     * decoded as JSON, and empty content is null.
     */
    Object decode(Payload payload, JavaType type) throws JsonProcessingException {
        if (type.hasRawClass(Payload.class)) {
            return payload;
        }
        if (type.hasRawClass(byte[].class) && !payload.isJson()) {
            return payload.bytes();
        }
        if (payload.isText() && type.getRawClass().isAssignableFrom(String.class)) {
            return payload.asText();
        }
        boolean isBytes = payload.message().hasData() && !payload.isJson() && !payload.isText();
        if (isBytes && type.hasRawClass(Object.class)) {
            return payload.bytes();
        }
        return decodeJson(payload, type);
    }

    /** Decodes the content as JSON; empty content is null. */
    Object decodeJson(Payload payload, JavaType type) throws JsonProcessingException {
        return mapper.readValue(payload.isEmpty() ? "null" : payload.asText(), type);
    }

    /** The error with its path: {@code field width: Cannot deserialize value ...}. */
    static String describe(JsonProcessingException error) {
        return path(error).map(path -> "field " + path + ": ").orElse("") + explain(error.getOriginalMessage());
    }

    /** The message of Jackson without its hints for the author of the mapper. */
    private static String explain(String message) {
        Matcher missing = MISSING.matcher(message);
        return missing.lookingAt()
                ? "missing or null: must be of type " + missing.group(1)
                : HINT.matcher(message).replaceFirst("");
    }

    /** The path of the error, if any, without its message, which may quote the content: {@code , field width}. */
    static String location(JsonProcessingException error) {
        return path(error).map(path -> ", field " + path).orElse("");
    }

    private static Optional<String> path(JsonProcessingException error) {
        if (!(error instanceof JsonMappingException mapping)
                || mapping.getPath().isEmpty()) {
            return Optional.empty();
        }
        String path = mapping.getPath().stream()
                .map(step -> step.getFieldName() != null ? step.getFieldName() : "[" + step.getIndex() + "]")
                .collect(Collectors.joining("."));
        return Optional.of(path.replace(".[", "["));
    }
}
