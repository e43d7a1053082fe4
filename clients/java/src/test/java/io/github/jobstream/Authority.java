package io.github.jobstream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** A certificate authority of openssl, and the files that it issues in a directory. */
final class Authority {
    private static final String NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

    private final Path directory;

    Authority(Path directory) throws IOException, InterruptedException {
        this.directory = directory;
        openssl("req -x509 " + NEW_KEY + " -subj /CN=jobstream-test-CA -keyout ca.key -out ca.crt");
    }

    /** Writes {@code NAME.crt} and {@code NAME.key} for these names, such as {@code DNS:localhost,IP:127.0.0.1}. */
    void issue(String name, String subjectAltName) throws IOException, InterruptedException {
        openssl("req " + NEW_KEY + " -subj /CN=" + name + " -addext subjectAltName=" + subjectAltName + " -keyout "
                + name + ".key -out " + name + ".csr");
        openssl("x509 -req -in " + name + ".csr -copy_extensions copy -CA ca.crt -CAkey ca.key -CAcreateserial -days 1"
                + " -out " + name + ".crt");
    }

    Path path(String file) {
        return directory.resolve(file);
    }

    /** The arguments of a server with the files of this name, and further ones. */
    String[] arguments(String name, String... more) {
        List<String> files = List.of(
                "--tls-cert",
                path(name + ".crt").toString(),
                "--tls-key",
                path(name + ".key").toString());
        return Stream.concat(files.stream(), Stream.of(more)).toArray(String[]::new);
    }

    private void openssl(String arguments) throws IOException, InterruptedException {
        List<String> command = Stream.concat(Stream.of("openssl"), Stream.of(arguments.split(" ")))
                .toList();
        Process process = new ProcessBuilder(command)
                .directory(directory.toFile())
                .redirectErrorStream(true)
                .start();
        String printed = new String(process.getInputStream().readAllBytes(), UTF_8);
        assertEquals(0, process.waitFor(), printed);
    }
}
