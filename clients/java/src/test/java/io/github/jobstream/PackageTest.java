package io.github.jobstream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PackageTest {
    @ParameterizedTest
    @ValueSource(strings = {"LICENSE-MIT", "LICENSE-APACHE"})
    void thePackageHasBothLicences(String name) throws IOException {
        try (InputStream licence = Client.class.getResourceAsStream("/META-INF/" + name)) {
            assertNotNull(licence, name);
            assertEquals(Files.readString(Path.of("../..", name)), new String(licence.readAllBytes(), UTF_8));
        }
    }
}
