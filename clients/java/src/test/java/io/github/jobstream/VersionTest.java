package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class VersionTest {
    @Test
    void theVersionEqualsThatOfThePom() {
        assertEquals(System.getProperty("jobstream.version"), Version.NUMBER);
    }
}
