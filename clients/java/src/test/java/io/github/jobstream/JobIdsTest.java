package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.Test;

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
}
