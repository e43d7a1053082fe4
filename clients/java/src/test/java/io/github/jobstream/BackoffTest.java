package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class BackoffTest {
    private static final long SECOND = 1_000_000_000;

    @Test
    void theBackoffDoublesUpToItsLimit() {
        Backoff backoff = new Backoff(Duration.ofMillis(50), Duration.ofSeconds(5));
        List<Long> pauses =
                Stream.generate(() -> backoff.next(null, 1).toMillis()).limit(9).toList();
        assertEquals(List.of(50L, 100L, 200L, 400L, 800L, 1600L, 3200L, 5000L, 5000L), pauses);
        backoff.reset();
        assertEquals(Duration.ofMillis(50), backoff.next(null, 1));
    }

    @Test
    void theDelayOfTheServerIsAdded() {
        Backoff backoff = new Backoff(Duration.ofMillis(50), Duration.ofSeconds(5));
        assertEquals(Duration.ofMillis(3025), backoff.next(Duration.ofSeconds(3), 0.5));
    }

    @Test
    void reconnectingStopsAfterPatienceAndAResponseResetsIt() {
        ReconnectBackoff reconnect = new ReconnectBackoff(new ClientOptions().patience(Duration.ofSeconds(60)));
        var away = Errors.unreachable("http://jobs:7070", "away", null);
        for (long second : new long[] {0, 30, 54}) {
            reconnect.nextDelay(away, second * SECOND);
        }
        var error = assertThrows(UnavailableException.class, () -> reconnect.nextDelay(away, 61 * SECOND));
        assertTrue(error.getMessage().endsWith("gave up after 61.0 s without a response"), error.getMessage());
        reconnect.reset();
        reconnect.nextDelay(away, 62 * SECOND);
    }

    @Test
    void permanentErrorsAreNotRetried() {
        var gone = new JobNotFoundException(ErrorDetails.of(Status.Code.NOT_FOUND, Errors.JOB_NOT_FOUND, "gone"));
        var thrown = assertThrows(
                JobNotFoundException.class, () -> new ReconnectBackoff(new ClientOptions()).nextDelay(gone, 0));
        assertSame(gone, thrown);
    }
}
