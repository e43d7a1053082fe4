package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AddressTest {
    @Test
    void anAddressNeedsNoScheme() {
        assertEquals(new Address("http://jobs:7070", "jobs", 7070, false), Address.parse("jobs:7070"));
        assertEquals(new Address("http://[::1]:7070", "[::1]", 7070, false), Address.parse("http://[::1]:7070"));
    }

    @Test
    void httpsIsTls() {
        assertEquals(new Address("https://jobs", "jobs", 443, true), Address.parse("https://jobs"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "ftp://jobs:1",
                "http://",
                "jobs 7070",
                "http://jobs:7070/path",
                "http://a@jobs:1",
                "jobs:70000",
                "jobs:0"
            })
    void anInvalidAddressIsNamedInTheErrorWithTheSyntax(String written) {
        var error = assertThrows(IllegalArgumentException.class, () -> Client.connect(written));
        assertTrue(error.getMessage().startsWith("invalid address \"" + written + "\""), error.getMessage());
        assertTrue(error.getMessage().contains("use http://host:port"), error.getMessage());
    }
}
