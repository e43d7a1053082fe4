package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JobIdsTest {
    @Test
    void idsAreVersionSevenAndSortByTime() {
        UUID chance = new UUID(0, -1);
        UUID id = UUID.fromString(JobIds.of(1_700_000_000_000L, -1, chance));
        assertEquals(7, id.version());
        assertEquals(2, id.variant());
        assertEquals(1_700_000_000_000L, id.getMostSignificantBits() >>> 16);
        assertTrue(JobIds.of(1, 0xFFF, chance).compareTo(JobIds.of(2, 0, new UUID(0, 0))) < 0);
    }

    @Test
    void idsAreUnique() {
        Set<String> ids = new HashSet<>();
        for (int i = 0; i < 10_000; i++) {
            assertTrue(ids.add(JobIds.generate()));
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "0190c0de-0000-7000-8000-00000000000a",
                "0190C0DE-0000-7000-8000-00000000000A",
                "0190c0de00007000800000000000000a",
                "{0190c0de-0000-7000-8000-00000000000a}",
                "urn:uuid:0190c0de-0000-7000-8000-00000000000a"
            })
    void everyUuidFormatOfTheServerIsValid(String id) {
        assertEquals(id, JobIds.check("job_id", id));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "order-123", "1-1-1-1-1", "0190c0de-0000-7000-8000-00000000000g", "{0190c0de"})
    void aMalformedIdIsRejectedWithAHint(String id) {
        var error = assertThrows(InvalidRequestException.class, () -> JobIds.check("job_id", id));
        assertEquals("job_id", error.violations().get(0).field());
        assertTrue(error.getMessage().contains('"' + id + "\": must be a UUID"), error.getMessage());
        assertTrue(error.getMessage().contains("UUIDv5"), error.getMessage());
    }

    @Test
    void aMalformedIdIsRejectedBeforeACall() {
        // Nothing listens at this address, so a call would be unavailable.
        try (Client client = Client.connect("http://127.0.0.1:1")) {
            List<Executable> uses = List.of(
                    () -> client.submit("resize", 1, Object.class, options -> options.jobId("order-123")),
                    () -> client.run("resize", 1, Object.class, options -> options.jobId("order-123")),
                    () -> client.job("order-123"),
                    () -> client.get("order-123"));
            uses.forEach(use -> assertThrows(InvalidRequestException.class, use));
        }
    }
}
