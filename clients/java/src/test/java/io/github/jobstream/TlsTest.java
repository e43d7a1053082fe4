package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.testing.TestServer;
import io.grpc.Status;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class TlsTest {
    private static final String ID = "0190c0de-0000-7000-8000-00000000000a";

    @TempDir
    static Path directory;

    private static Authority authority;
    private static Authority other;
    private static TestServer server;
    private static TestServer elsewhere;
    private static TestServer strict;
    private static TestServer plain;

    @BeforeAll
    static void start() throws Exception {
        authority = new Authority(Files.createDirectory(directory.resolve("authority")));
        other = new Authority(Files.createDirectory(directory.resolve("other")));
        authority.issue("server", "DNS:localhost,IP:127.0.0.1");
        authority.issue("elsewhere", "DNS:jobs.example");
        authority.issue("alice", "DNS:alice");
        other.issue("mallory", "DNS:alice");
        String ca = authority.path("ca.crt").toString();
        server = TestServer.startWith(authority.arguments("server"));
        elsewhere = TestServer.startWith(authority.arguments("elsewhere"));
        strict = TestServer.startWith(authority.arguments("server", "--tls-client-ca", ca));
        plain = TestServer.start();
    }

    @AfterAll
    static void stop() {
        List.of(server, elsewhere, strict, plain).forEach(TestServer::close);
    }

    private static ClientOptions trust(ClientOptions options) {
        return options.ca(authority.path("ca.crt"));
    }

    /** Runs a job with a client and a worker of these options. */
    private static void assertWorks(String address, Consumer<ClientOptions> options) {
        try (Client client = Client.connect(address, options);
                Worker worker = Worker.builder(client)
                        .handle("double", Integer.class, (n, context) -> 2 * n)
                        .start()) {
            Job<Integer> job = client.submit("double", 21, Integer.class);
            try (Watch watch = job.watch()) {
                watch.forEachRemaining(event -> {});
            }
            assertEquals(42, job.result());
        }
    }

    @Test
    void clientAndWorkerTrustAnOwnCa() throws Exception {
        assertTrue(server.address().startsWith("https://"), server.address());
        byte[] pem = Files.readAllBytes(authority.path("ca.crt"));
        assertWorks(server.address(), TlsTest::trust);
        assertWorks(server.address().replace("127.0.0.1", "localhost"), options -> options.ca(pem));
    }

    @Test
    void clientAndWorkerPresentACertificate() throws Exception {
        Path certificate = authority.path("alice.crt");
        Path key = authority.path("alice.key");
        assertWorks(strict.address(), options -> trust(options).clientCertificate(certificate, key));
        byte[] pem = Files.readAllBytes(certificate);
        byte[] secret = Files.readAllBytes(key);
        assertWorks(strict.address(), options -> trust(options).clientCertificate(pem, secret));
    }

    private static void replace(String file, Authority by, String name) throws Exception {
        Files.copy(by.path(name + ".crt"), directory.resolve(file + ".crt"), StandardCopyOption.REPLACE_EXISTING);
        Files.copy(by.path(name + ".key"), directory.resolve(file + ".key"), StandardCopyOption.REPLACE_EXISTING);
    }

    @Test
    void aClientAndAWorkerUseARenewedCertificateForNewConnections() throws Exception {
        replace("renewed", authority, "alice");
        String ca = authority.path("ca.crt").toString();
        String otherCa = other.path("ca.crt").toString();
        TestServer first = TestServer.startWith(authority.arguments("server", "--tls-client-ca", ca));
        try (Client client = Client.connect(first.address(), options -> trust(options)
                        .clientCertificate(directory.resolve("renewed.crt"), directory.resolve("renewed.key")));
                Worker worker = Worker.builder(client)
                        .handle("double", Integer.class, (n, context) -> 2 * n)
                        .start()) {
            assertEquals(42, client.run("double", 21, Integer.class));
            replace("renewed", other, "mallory");
            assertEquals(44, client.run("double", 22, Integer.class), "an open connection continues");
            first.close();
            String listen = first.address().substring("https://".length());
            // A certificate of the former authority is refused now, and a worker with one would end.
            try (TestServer second =
                    TestServer.startAt(listen, authority.arguments("server", "--tls-client-ca", otherCa))) {
                assertEquals(46, client.run("double", 23, Integer.class));
            }
        } finally {
            first.close();
        }
    }

    @Test
    void filesThatDoNotFitKeepTheFormerCertificateUntilTheyDo() throws Exception {
        replace("half", authority, "alice");
        Path key = directory.resolve("half.key");
        ClientCertificate certificate = ClientCertificate.of(directory.resolve("half.crt"), key);
        String alice = certificate.chooseEngineClientAlias(new String[0], null, null);
        assertEquals(alice, certificate.chooseEngineClientAlias(new String[0], null, null));
        X509Certificate[] chain = certificate.getCertificateChain(alice);
        PrivateKey secret = certificate.getPrivateKey(alice);
        try (LogLines log = LogLines.collect()) {
            Files.copy(other.path("mallory.key"), key, StandardCopyOption.REPLACE_EXISTING);
            assertEquals(alice, certificate.chooseEngineClientAlias(new String[0], null, null));
            assertEquals(
                    "WARNING the key of clientCertificate is \"" + key + "\", which is not that of \""
                            + directory.resolve("half.crt") + "\"; the former client certificate is used",
                    log.await("former"));
            Files.delete(key);
            assertEquals(alice, certificate.chooseEngineClientAlias(new String[0], null, null));
            replace("half", other, "mallory");
            String mallory = certificate.chooseEngineClientAlias(new String[0], null, null);
            assertTrue(certificate
                    .getCertificateChain(mallory)[0]
                    .getSubjectX500Principal()
                    .getName()
                    .contains("mallory"));
            assertEquals("INFO the client certificate has changed: new connections use it", log.await("changed"));
        }
        // A handshake that began before has its own certificate and key.
        assertArrayEquals(chain, certificate.getCertificateChain(alice));
        assertEquals(secret, certificate.getPrivateKey(alice));
    }

    /** Calls, watches and workers fail at once with this reason and message. */
    private static void assertRefused(
            String address, Consumer<ClientOptions> options, Class<?> type, String reason, String message) {
        try (Client client = Client.connect(address, options)) {
            List<Executable> calls = List.of(
                    () -> client.get(ID),
                    () -> client.job(ID).result(),
                    () -> client.job(ID).watch().hasNext(),
                    () -> client.run("x", 1),
                    () -> Worker.builder(client)
                            .handle("x", Object.class, (input, context) -> input)
                            .run());
            for (Executable call : calls) {
                var error = assertThrows(JobstreamException.class, call);
                assertEquals(type, error.getClass(), error.getMessage());
                assertEquals(reason, error.reason(), error.getMessage());
                assertTrue(error.getMessage().contains(address + ": "), error.getMessage());
                assertTrue(Pattern.compile(message).matcher(error.getMessage()).find(), error.getMessage());
            }
        }
    }

    @Test
    void anUnknownCaIsReportedInWords() {
        for (Consumer<ClientOptions> options :
                List.<Consumer<ClientOptions>>of(none -> {}, given -> given.ca(other.path("ca.crt")))) {
            assertRefused(
                    server.address(),
                    options,
                    UnavailableException.class,
                    "UNKNOWN_CA",
                    "does not trust: set ca, or JOBSTREAM_CA");
        }
    }

    @Test
    void aCertificateOfAnotherHostIsReportedInWords() {
        assertRefused(
                elsewhere.address(),
                TlsTest::trust,
                UnavailableException.class,
                "INVALID_CERTIFICATE",
                "not for 127.0.0.1, but for jobs.example: use one of its names");
    }

    @Test
    void aServerWithoutTlsIsReportedInWords() {
        assertRefused(
                plain.address().replace("http", "https"),
                TlsTest::trust,
                UnavailableException.class,
                "NOT_TLS",
                "it answers in plain text: use http://");
    }

    @Test
    void aMissingClientCertificateIsReportedInWords() {
        Path certificate = other.path("mallory.crt");
        Path key = other.path("mallory.key");
        for (Consumer<ClientOptions> options : List.<Consumer<ClientOptions>>of(
                TlsTest::trust, given -> trust(given).clientCertificate(certificate, key))) {
            assertRefused(
                    strict.address(),
                    options,
                    UnauthenticatedException.class,
                    "CLIENT_CERTIFICATE",
                    "client certificate.*: set clientCertificate");
        }
    }

    @Test
    void plainTextToATlsPortIsReportedInWords() {
        assertRefused(
                server.address().replace("https", "http"),
                none -> {},
                UnavailableException.class,
                "TLS_REQUIRED",
                "this port serves TLS only: use " + server.address());
    }

    /** Answers each connection with an alert: protocol version. */
    private static void refuseAll(ServerSocket listener) {
        while (true) {
            try (Socket connection = listener.accept()) {
                connection.getInputStream().read(new byte[1024]);
                connection.getOutputStream().write(new byte[] {21, 3, 3, 0, 2, 2, 70});
            } catch (IOException closed) {
                if (listener.isClosed()) {
                    return;
                }
            }
        }
    }

    @Test
    void tlsOfAnotherServerIsGuessed() throws Exception {
        try (ServerSocket listener = new ServerSocket(0)) {
            Thread thread = new Thread(() -> refuseAll(listener));
            thread.start();
            try (Client client =
                    Client.connect("http://127.0.0.1:" + listener.getLocalPort(), options -> options.tries(1))) {
                var error = assertThrows(UnavailableException.class, () -> client.get(ID));
                assertTrue(error.getMessage().contains("use an address that begins with https://"), error.getMessage());
            }
        }
    }

    private static String refusal(String address, Consumer<ClientOptions> options) {
        return assertThrows(IllegalArgumentException.class, () -> Client.connect(address, options))
                .getMessage();
    }

    @Test
    void unusableFilesAreNamedBeforeACall() {
        String address = "https://127.0.0.1:1";
        Path certificate = authority.path("alice.crt");
        Path key = authority.path("alice.key");
        String missing = refusal(address, options -> options.ca(Path.of("missing.crt")));
        assertTrue(missing.startsWith("ca is \"missing.crt\", which cannot be read: "), missing);
        String noCertificate = refusal(address, options -> options.ca(key));
        assertTrue(
                noCertificate.startsWith("ca is \"" + key + "\", which has no certificate in PEM format"),
                noCertificate);
        String noFile = refusal(address, options -> options.ca(new byte[] {1}));
        assertTrue(noFile.startsWith("ca has no certificate in PEM format"), noFile);
        String plainText = refusal("http://127.0.0.1:1", TlsTest::trust);
        assertTrue(plainText.startsWith("ca needs TLS") && plainText.endsWith("use https://host:port"), plainText);
        Path wrong = authority.path("server.key");
        String mismatch = refusal(address, options -> options.clientCertificate(certificate, wrong));
        assertEquals(
                "the key of clientCertificate is \"" + wrong + "\", which is not that of \"" + certificate + "\"",
                mismatch);
        String noKey = refusal(address, options -> options.clientCertificate(certificate, certificate));
        assertTrue(
                noKey.contains(" is \"" + certificate + "\", which has no -----BEGIN PRIVATE KEY-----: convert it"),
                noKey);
        String noKeyFile = refusal(address, options -> options.clientCertificate(certificate, Path.of("missing.key")));
        assertTrue(noKeyFile.startsWith("the key of clientCertificate is \"missing.key\", which cannot"), noKeyFile);
    }

    @Test
    void theEnvironmentHasTheDefaults() throws Exception {
        String program = "Client.connect().queues(); System.out.println(\"done\");";
        Program fromEnvironment = new Program(directory, program)
                .with("JOBSTREAM_ADDRESS", server.address())
                .with("JOBSTREAM_CA", authority.path("ca.crt").toString());
        assertEquals("done\n", fromEnvironment.output());
        String refused = fromEnvironment.with("JOBSTREAM_CA", "missing.crt").output();
        assertTrue(refused.contains("JOBSTREAM_CA is \"missing.crt\", which cannot be read"), refused);
        try (RefusingServer refusing = new RefusingServer(Status.Code.PERMISSION_DENIED)) {
            new Program(directory, program)
                    .with("JOBSTREAM_ADDRESS", refusing.address())
                    .with("JOBSTREAM_TOKEN", "from-environment")
                    .output();
            assertEquals("Bearer from-environment", refusing.calls().get(0).header("authorization"));
        }
        String insecure = new Program(directory, program)
                .with("JOBSTREAM_ADDRESS", "http://jobs.example")
                .with("JOBSTREAM_TOKEN", "secret")
                .output();
        assertTrue(insecure.contains("JOBSTREAM_TOKEN would be sent over plain text"), insecure);
    }
}
