package io.github.jobstream;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.google.protobuf.ByteString;
import java.io.UncheckedIOException;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Objects;

/**
 * An input, a result or a chunk of output: bytes or text with a content type.
 *
 * <p>A payload that is an input or the result of a handler is sent unchanged, for example plain text or another content
 * type than JSON. The default limit of the server is 1 MiB. Immutable.
 */
public final class Payload {
    static final String JSON = "application/json";
    private static final String PLAIN_TEXT = "text/plain; charset=utf-8";
    private static final String BYTES = "application/octet-stream";
    /** Most characters of a text in {@link #toString}. */
    private static final int SHORT_TEXT_MAX = 200;

    private final io.github.jobstream.v1.Payload message;

    private Payload(io.github.jobstream.v1.Payload message) {
        this.message = message;
    }

    /** Plain text. */
    public static Payload text(String text) {
        return new Payload(
                io.github.jobstream.v1.Payload.newBuilder().setText(text).build());
    }

    /** Text of this content type, such as {@code text/csv}; at most 128 bytes of printable ASCII. */
    public static Payload text(String text, String contentType) {
        return new Payload(io.github.jobstream.v1.Payload.newBuilder()
                .setText(text)
                .setContentType(contentType)
                .build());
    }

    /** Encoded JSON. */
    public static Payload json(String json) {
        return text(json, JSON);
    }

    /** Bytes of type {@code application/octet-stream}. */
    public static Payload data(byte[] bytes) {
        return data(bytes, "");
    }

    /** Bytes of this content type, such as {@code image/png}; at most 128 bytes of printable ASCII. */
    public static Payload data(byte[] bytes, String contentType) {
        return new Payload(io.github.jobstream.v1.Payload.newBuilder()
                .setData(ByteString.copyFrom(bytes))
                .setContentType(contentType)
                .build());
    }

    /** No content. */
    public static Payload empty() {
        return new Payload(io.github.jobstream.v1.Payload.getDefaultInstance());
    }

    /** Wraps a message of the generated stubs. */
    public static Payload of(io.github.jobstream.v1.Payload message) {
        return new Payload(Objects.requireNonNull(message, "message"));
    }

    /** The message of the generated stubs. */
    public io.github.jobstream.v1.Payload message() {
        return message;
    }

    /** The content type, or the default one if the sender set none. */
    public String contentType() {
        if (!message.getContentType().isEmpty()) {
            return message.getContentType();
        }
        return switch (message.getBodyCase()) {
            case TEXT -> PLAIN_TEXT;
            case JSON -> JSON;
            case DATA, BODY_NOT_SET -> BYTES;
        };
    }

    /** Whether the content is JSON. */
    public boolean isJson() {
        return message.hasJson() || mediaType().equals(JSON) || mediaType().endsWith("+json");
    }

    /** Whether the content is text that is not JSON. */
    public boolean isText() {
        return !isJson() && (message.hasText() || mediaType().startsWith("text/"));
    }

    /** Whether there is no content. */
    public boolean isEmpty() {
        return size() == 0;
    }

    /** Size of the content in bytes, as counted by the server. */
    int size() {
        return switch (message.getBodyCase()) {
            case TEXT -> message.getTextBytes().size();
            case DATA -> message.getData().size();
            case JSON -> bytes().length;
            case BODY_NOT_SET -> 0;
        };
    }

    /** The content as bytes; text and JSON as UTF-8. */
    public byte[] bytes() {
        return message.hasData() ? message.getData().toByteArray() : asText().getBytes(StandardCharsets.UTF_8);
    }

    /** The content as text; bytes are decoded as UTF-8. */
    public String asText() {
        return switch (message.getBodyCase()) {
            case TEXT -> message.getText();
            case DATA -> message.getData().toStringUtf8();
            case JSON -> ProtoJson.write(message.getJson());
            case BODY_NOT_SET -> "";
        };
    }

    /**
     * The content decoded as JSON, whatever its content type; null if there is no content.
     *
     * @throws UncheckedIOException if the content is not JSON of this type
     */
    @SuppressWarnings("unchecked") // The value was decoded as a T.
    public <T> T asJson(Class<T> type) {
        return (T) decode(type);
    }

    /** The content decoded as JSON of a generic type, like {@link #asJson(Class)}. */
    @SuppressWarnings("unchecked") // The value was decoded as a T.
    public <T> T asJson(TypeReference<T> type) {
        return (T) decode(type.getType());
    }

    private Object decode(Type type) {
        try {
            return Json.CODEC.decodeJson(this, Json.CODEC.type(type));
        } catch (JsonProcessingException error) {
            throw new UncheckedIOException(
                    "the payload cannot be decoded as " + type.getTypeName() + ": " + Codec.describe(error)
                            + " (content type " + contentType() + ")",
                    error);
        }
    }

    /** Loaded with the first use. */
    private static final class Json {
        static final Codec CODEC = Codec.standard();
    }

    private String mediaType() {
        return contentType().split(";", 2)[0].strip().toLowerCase(Locale.ROOT);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Payload payload && payload.message.equals(message);
    }

    @Override
    public int hashCode() {
        return message.hashCode();
    }

    /** Text and JSON as they are, shortened if they are long; the content type and the size of other content. */
    @Override
    public String toString() {
        return isJson() || isText() ? shortText() : contentType() + ", " + size() + " bytes";
    }

    private String shortText() {
        String text = asText();
        if (text.codePointCount(0, text.length()) <= SHORT_TEXT_MAX) {
            return text;
        }
        return text.substring(0, text.offsetByCodePoints(0, SHORT_TEXT_MAX)) + "... (" + size() + " bytes)";
    }
}
