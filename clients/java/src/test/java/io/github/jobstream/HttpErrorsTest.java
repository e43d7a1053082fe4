package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.testing.TestServer;
import io.grpc.Status;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(30)
class HttpErrorsTest {
    private static final String ID = "0190c0de-0000-7000-8000-00000000000a";

    private static Client connect(HtmlServer proxy) {
        return Client.connect(
                proxy.address(), options -> options.tries(3).pauses(Duration.ofMillis(1), Duration.ofMillis(1)));
    }

    private static Worker worker(Client client) {
        return Worker.builder(client)
                .handle("resize", Object.class, (input, context) -> input)
                .build();
    }

    @ParameterizedTest
    @CsvSource({
        "400, INTERNAL",
        "401, UNAUTHENTICATED",
        "403, PERMISSION_DENIED",
        "404, UNIMPLEMENTED",
        "413, UNKNOWN",
        "500, UNKNOWN"
    })
    void anHttpStatusHasItsCodeAndIsNotRetried(int status, Status.Code code) throws Exception {
        try (HtmlServer proxy = new HtmlServer(status);
                Client client = connect(proxy)) {
            var error = assertThrows(JobstreamException.class, () -> client.get(ID));
            assertEquals(code, error.code());
            assertTrue(
                    error.getMessage().startsWith("HTTP status " + status + " from " + proxy.address()),
                    error.getMessage());
            assertFalse(error.getMessage().contains("html"), error.getMessage());
            assertEquals(1, proxy.requests());
        }
    }

    private static void assertTooLarge(Client client, String address, String why) {
        var error = assertThrows(JobstreamException.class, () -> client.get(ID));
        assertEquals(Status.Code.UNKNOWN, error.code(), error.getMessage());
        assertEquals(
                "the headers of the call are larger than " + address + " accepts (" + why
                        + "): shorten the token or the metadata",
                error.getMessage());
    }

    @Test
    void headersThatAreTooLargeFailACallAtOnce() throws Exception {
        String large = "x".repeat(9_000);
        try (TestServer server = TestServer.start();
                Client token = Client.connect(server.address(), options -> options.token(large));
                Client metadata =
                        Client.connect(server.address(), options -> options.metadata(Map.of("x-large", large)));
                HtmlServer proxy = new HtmlServer(431);
                Client proxied = connect(proxy)) {
            assertTooLarge(token, server.address(), "limit 8192 bytes");
            assertTooLarge(metadata, server.address(), "limit 8192 bytes");
            assertTooLarge(proxied, proxy.address(), "HTTP status 431");
            assertEquals(1, proxy.requests());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {429, 502, 503, 504})
    void anHttpStatusOfAnUnavailableServerIsRetried(int status) throws Exception {
        try (HtmlServer proxy = new HtmlServer(status);
                Client client = connect(proxy)) {
            var error = assertThrows(UnavailableException.class, () -> client.get(ID));
            assertTrue(
                    error.getMessage().startsWith("HTTP status " + status + " from " + proxy.address()),
                    error.getMessage());
            assertEquals(3, proxy.requests());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {401, 403, 404})
    void aWorkerThatIsNotAdmittedEnds(int status) throws Exception {
        try (HtmlServer proxy = new HtmlServer(status);
                Client client = connect(proxy)) {
            var error = assertThrows(JobstreamException.class, worker(client)::run);
            assertTrue(error.getMessage().startsWith("HTTP status " + status), error.getMessage());
        }
    }

    @Test
    void aWorkerWaitsForAnUnavailableServer() throws Exception {
        try (HtmlServer proxy = new HtmlServer(503);
                Client client = connect(proxy);
                Worker worker = worker(client).start()) {
            proxy.awaitRequests(3);
        }
    }
}
