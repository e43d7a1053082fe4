package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jobstream.v1.AttemptReport;
import io.github.jobstream.v1.Hello;
import io.github.jobstream.v1.Log;
import io.github.jobstream.v1.Output;
import io.github.jobstream.v1.Progress;
import io.github.jobstream.v1.Welcome;
import io.github.jobstream.v1.WorkRequest;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LedgerTest {
    private final Ledger ledger = new Ledger(4);

    @BeforeEach
    void connect() {
        greet();
        welcome(0);
    }

    private Hello greet() {
        return ledger.greet(Hello.getDefaultInstance());
    }

    private List<String> welcome(long acknowledged, String... standing) {
        return ledger.welcome(Welcome.newBuilder()
                .setLease(Wire.duration(Duration.ofSeconds(30)))
                .setPayloadBytesMax(100)
                .setAckedReportSequence(acknowledged)
                .addAllStandingLeaseIds(List.of(standing))
                .build());
    }

    private static Log line(String text) {
        return Log.newBuilder().setText(text).build();
    }

    private static Progress share(double fraction) {
        return Progress.newBuilder().setFraction(fraction).build();
    }

    private static List<Long> numbers(WorkRequest request) {
        return request.getReportsList().stream()
                .map(AttemptReport::getReportSequence)
                .toList();
    }

    @Test
    void anAttemptIsAcceptedReportedAndForgotten() throws InterruptedException {
        ledger.begin("A");
        assertEquals(List.of("A"), ledger.nextRequest().getAcceptedLeaseIdsList());
        ledger.end("A", AttemptEnds.stopped());
        assertEquals(List.of(1L), numbers(ledger.nextRequest()));
        assertNull(ledger.nextRequest());
        assertFalse(ledger.awaitSettled(Duration.ZERO));
        ledger.acknowledge(1);
        assertTrue(ledger.awaitSettled(Duration.ZERO));
    }

    @Test
    void onlyTheNewestProgressIsSentWhileAnEarlierOneIsOnItsWay() {
        ledger.begin("A");
        ledger.progress("A", share(0.1));
        assertEquals(List.of(1L), numbers(ledger.nextRequest()));
        for (int i = 2; i < 1_000; i++) {
            ledger.progress("A", share(i / 1e3));
        }
        assertNull(ledger.nextRequest());
        ledger.acknowledge(1);
        WorkRequest request = ledger.nextRequest();
        assertEquals(1, request.getReportsCount());
        assertEquals(0.999, request.getReports(0).getProgress().getFraction());
    }

    @Test
    void theLastProgressComesBeforeTheEnd() {
        ledger.begin("A");
        ledger.progress("A", share(0.1));
        ledger.nextRequest();
        ledger.progress("A", share(1));
        ledger.end("A", AttemptEnds.stopped());
        WorkRequest request = ledger.nextRequest();
        assertEquals(1, request.getReports(0).getProgress().getFraction());
        assertTrue(request.getReports(1).hasStopped());
    }

    @Test
    void reportsAreSentAgainWithTheirNumbersAfterAReconnect() {
        ledger.begin("A");
        ledger.log("A", line("one"));
        ledger.log("A", line("two"));
        ledger.end("A", AttemptEnds.stopped());
        assertEquals(List.of(1L, 2L, 3L), numbers(ledger.nextRequest()));
        assertEquals(List.of("A"), greet().getHeldLeaseIdsList());
        assertEquals(List.of(), welcome(1, "A"));
        assertEquals(List.of(2L, 3L), numbers(ledger.nextRequest()));
    }

    @Test
    void anAttemptThatLostItsLeaseKeepsItsSlotUntilItStops() {
        ledger.begin("A");
        ledger.begin("B");
        ledger.nextRequest();
        assertEquals(2, greet().getSlots());
        assertEquals(List.of("A"), welcome(0, "B"));
        WorkRequest request = ledger.nextRequest();
        assertEquals(3, request.getSlots());
        assertEquals(List.of("B"), request.getHeartbeat().getLeaseIdsList());
        ledger.end("A", AttemptEnds.stopped());
        request = ledger.nextRequest();
        assertEquals(4, request.getSlots());
        assertEquals(0, request.getReportsCount());
    }

    @Test
    void anAttemptThatDoesNotStopIsGivenBackAndKeepsItsSlot() {
        ledger.begin("A");
        ledger.nextRequest();
        ledger.abandon("A", AttemptEnds.release(Duration.ZERO));
        WorkRequest request = ledger.nextRequest();
        assertTrue(request.getReports(0).hasRelease());
        assertEquals(3, request.getSlots());
        ledger.end("A", AttemptEnds.stopped());
        request = ledger.nextRequest();
        assertEquals(4, request.getSlots());
        assertEquals(0, request.getReportsCount(), "each attempt ends once");
    }

    @Test
    void outputOfALostAttemptIsRefused() {
        ledger.begin("A");
        greet();
        welcome(0);
        assertThrows(CancellationException.class, () -> ledger.output("A", Output.getDefaultInstance(), 1));
    }

    @Test
    void outputBeyondTheLimitNamesSizeLimitAndTheWayOut() {
        ledger.begin("A");
        var error =
                assertThrows(InvalidRequestException.class, () -> ledger.output("A", Output.getDefaultInstance(), 101));
        assertTrue(error.getMessage().startsWith("output is 101 bytes, the limit is 100: "), error.getMessage());
    }

    @Test
    void linesThatFindNoRoomAreCounted() {
        ledger.begin("A");
        String large = "x".repeat(1 << 20);
        for (int i = 0; i < 20; i++) {
            ledger.log("A", line(large));
        }
        WorkRequest request;
        long last = 0;
        while ((request = ledger.nextRequest()) != null) {
            last = request.getReports(request.getReportsCount() - 1).getReportSequence();
        }
        assertEquals(7, last);
        ledger.acknowledge(last);
        ledger.log("A", line("after"));
        request = ledger.nextRequest();
        assertTrue(request.getReports(0).getLog().getText().startsWith("13 log lines were dropped here"));
        assertEquals("after", request.getReports(1).getLog().getText());
    }

    @Test
    void messagesOfAHundredThousandLeasesFitWhatServersRead() throws InterruptedException {
        List<String> leases =
                IntStream.range(0, 100_000).mapToObj("%036d"::formatted).toList();
        Ledger large = new Ledger(100_000);
        large.greet(Hello.getDefaultInstance());
        large.welcome(Welcome.newBuilder()
                .setLease(Wire.duration(Duration.ofSeconds(30)))
                .setPayloadBytesMax(1 << 20)
                .build());
        leases.forEach(large::begin);
        large.beat();
        var payload = Payload.data(new byte[1 << 20]);
        large.output(
                leases.get(0), Output.newBuilder().setPayload(payload.message()).build(), payload.size());
        List<WorkRequest> sent =
                Stream.generate(large::nextRequest).takeWhile(Objects::nonNull).toList();
        int largest =
                sent.stream().mapToInt(WorkRequest::getSerializedSize).max().orElse(0);
        assertTrue(largest < (1 << 20) + 4096, "a message has " + largest + " bytes");
        assertEquals(
                leases,
                sent.stream()
                        .flatMap(request -> request.getHeartbeat().getLeaseIdsList().stream())
                        .toList());
        assertEquals(
                leases,
                sent.stream()
                        .flatMap(request -> request.getAcceptedLeaseIdsList().stream())
                        .toList());
        assertEquals(1, sent.stream().mapToInt(WorkRequest::getReportsCount).sum());
    }
}
