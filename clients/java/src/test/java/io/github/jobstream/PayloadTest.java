package io.github.jobstream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.type.TypeReference;
import java.io.UncheckedIOException;
import java.util.List;
import org.junit.jupiter.api.Test;

class PayloadTest {
    record Size(int width) {}

    @Test
    void theContentIsReadableAsTextJsonAndBytes() {
        Payload payload = Payload.json("[{\"width\":7}]");
        assertEquals("[{\"width\":7}]", payload.asText());
        assertEquals(List.of(new Size(7)), payload.asJson(new TypeReference<List<Size>>() {}));
        assertArrayEquals("7".getBytes(UTF_8), Payload.text("7").bytes());
        assertEquals(7, Payload.text("7").asJson(Integer.class));
        assertNull(Payload.empty().asJson(Size.class));
    }

    @Test
    void contentThatIsNotJsonOfTheTypeIsAnErrorWithItsField() {
        var error = assertThrows(UncheckedIOException.class, () -> Payload.json("{\"width\":\"wide\"}")
                .asJson(Size.class));
        assertTrue(error.getMessage().contains("Size: field width: "), error.getMessage());
        assertTrue(error.getMessage().endsWith("(content type application/json)"), error.getMessage());
    }

    @Test
    void theStringFormIsTheTextOrTheTypeAndTheSize() {
        assertEquals("chunk 1", Payload.text("chunk 1").toString());
        assertEquals("{\"a\":1}", Payload.json("{\"a\":1}").toString());
        assertEquals("a;b", Payload.data("a;b".getBytes(UTF_8), "text/csv").toString());
        assertEquals(
                "image/png, 3 bytes", Payload.data(new byte[3], "image/png").toString());
        assertEquals("application/octet-stream, 0 bytes", Payload.empty().toString());
    }

    @Test
    void aLongTextIsShortened() {
        assertEquals("x".repeat(200), Payload.text("x".repeat(200)).toString());
        String smile = "\uD83D\uDE00";
        assertEquals(
                smile.repeat(200) + "... (804 bytes)",
                Payload.text(smile.repeat(201)).toString());
    }
}
