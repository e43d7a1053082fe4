package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.google.protobuf.ListValue;
import com.google.protobuf.Value;
import java.math.BigInteger;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CodecTest {
    private final Codec codec = Codec.standard();

    record Size(int width, String unit) {}

    record Image(List<Size> sizes) {}

    private Object decode(Payload payload, Class<?> type) throws JsonProcessingException {
        return codec.decode(payload, codec.type(type));
    }

    @Test
    void integersOfAnySizeAreExact() throws JsonProcessingException {
        BigInteger large = BigInteger.TWO.pow(200).add(BigInteger.ONE);
        Payload sent = codec.encode("input", Map.of("n", large));
        assertEquals("{\"n\":" + large + "}", sent.asText());
        assertEquals(Map.of("n", large), decode(sent, Object.class));
    }

    @Test
    void theContentTypeSelectsTheDecoding() throws JsonProcessingException {
        assertEquals("42", decode(Payload.text("42"), Object.class));
        assertEquals("42", decode(Payload.text("42"), String.class));
        assertEquals(42, decode(Payload.text("42"), Integer.class));
        assertEquals("42", decode(Payload.json("\"42\""), String.class));
        assertArrayEquals(new byte[] {1, 2}, (byte[]) decode(Payload.data(new byte[] {1, 2}), Object.class));
        assertArrayEquals(new byte[0], (byte[]) decode(Payload.data(new byte[0]), Object.class));
        assertEquals(Payload.text("unchanged"), decode(Payload.text("unchanged"), Payload.class));
        assertNull(decode(Payload.empty(), Object.class));
        assertNull(decode(Payload.json("null"), Integer.class));
    }

    @Test
    void theJsonFieldIsDecoded() throws JsonProcessingException {
        Value list = Value.newBuilder()
                .setListValue(ListValue.newBuilder()
                        .addValues(Value.newBuilder().setNumberValue(3))
                        .addValues(Value.newBuilder().setNumberValue(1.5))
                        .addValues(Value.newBuilder().setStringValue("x")))
                .build();
        Payload payload = Payload.of(
                io.github.jobstream.v1.Payload.newBuilder().setJson(list).build());
        assertEquals("[3,1.5,\"x\"]", payload.asText());
        assertEquals(List.of(BigInteger.valueOf(3), 1.5, "x"), decode(payload, Object.class));
    }

    @Test
    void wholeNumbersOfTheJsonFieldAreExact() throws JsonProcessingException {
        ListValue.Builder numbers = ListValue.newBuilder();
        for (double number : new double[] {0x1p53, 0x1p60, 0x1p63, -1.5, 6.022e23}) {
            numbers.addValues(Value.newBuilder().setNumberValue(number));
        }
        Payload payload = Payload.of(io.github.jobstream.v1.Payload.newBuilder()
                .setJson(Value.newBuilder().setListValue(numbers))
                .build());
        assertEquals("[9007199254740992,1152921504606846976,9223372036854775808,-1.5,6.022E23]", payload.asText());
        Payload one = Payload.of(io.github.jobstream.v1.Payload.newBuilder()
                .setJson(Value.newBuilder().setNumberValue(0x1p60))
                .build());
        assertEquals(1L << 60, decode(one, Long.class));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"unit\": \"px\"}", "{\"width\": 1.5}", "{\"width\": \"7\"}", "{\"width\": null}"})
    void aMismatchNamesTheField(String json) {
        Payload payload = Payload.json("{\"sizes\": [{\"width\": 1}, " + json + "]}");
        var error = assertThrows(JsonProcessingException.class, () -> decode(payload, Image.class));
        String description = Codec.describe(error);
        assertTrue(description.startsWith("field sizes[1].width: "), description);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{} | field width: missing or null: must be of type `int`",
                "{\"width\": \"7\"} | field width: Cannot coerce String value (\"7\") to `int` value",
            })
    void aMismatchIsExplainedToTheCaller(String json, String expected) {
        var error = assertThrows(JsonProcessingException.class, () -> decode(Payload.json(json), Size.class));
        assertEquals(expected, Codec.describe(error));
    }

    @Test
    void unknownFieldsAreIgnored() throws JsonProcessingException {
        assertEquals(new Size(7, null), decode(Payload.json("{\"width\": 7, \"depth\": 2}"), Size.class));
    }

    @Test
    void aValueThatCannotBeEncodedIsAnInvalidRequestWithAHint() {
        var error = assertThrows(InvalidRequestException.class, () -> codec.encode("job.payload", new Object()));
        assertEquals("job.payload", error.violations().get(0).field());
        assertTrue(error.getMessage().contains("java.lang.Object"), error.getMessage());
        assertTrue(error.getMessage().contains("pass a Payload"), error.getMessage());
    }
}
