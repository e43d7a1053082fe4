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
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ReportBufferTest {
    private final ReportBuffer reports = new ReportBuffer(4);

    @BeforeEach
    void connect() {
        beginStream();
        welcome(0);
    }

    private Hello beginStream() {
        return reports.beginStream(Hello.getDefaultInstance());
    }

    private List<String> welcome(long acknowledged, String... standing) {
        return reports.welcome(Welcome.newBuilder()
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

    /** Ends the attempt of this lease with a callback that adds the lease and the reason of its error, if there is one. */
    private void end(String lease, List<String> settled) {
        reports.begin(lease);
        Settlement settlement = new Settlement(
                null,
                List.of(error -> settled.add(
                        lease + error.map(e -> " " + e.code() + e.reason()).orElse(""))));
        reports.end(lease, FinalReports.stopped(), settlement);
    }

    @Test
    void anEndIsSettledOnceByItsRefusalItsAcknowledgementALostLeaseOrTheEndOfTheWorker() {
        List<String> settled = new ArrayList<>();
        List.of("a", "b", "c", "d", "e").forEach(lease -> end(lease, settled));
        reports.settlements().refuse(2, Settlements.leaseLost());
        assertEquals(List.of("b FAILED_PRECONDITIONLEASE_LOST"), settled);
        reports.acknowledge(3);
        assertEquals(List.of("a", "c"), settled.subList(1, settled.size()));
        settled.clear();
        reports.settlements().retain(Set.of("e"));
        assertEquals(List.of("d FAILED_PRECONDITIONLEASE_LOST"), settled);
        reports.settlements().end();
        end("f", settled);
        assertEquals(List.of("e UNAVAILABLE", "f UNAVAILABLE"), settled.subList(1, settled.size()));
        reports.acknowledge(6);
        assertEquals(3, settled.size());
    }

    @Test
    void anAttemptThatWasReleasedBeforeItsEndHasLostItsLease() {
        List<String> settled = new ArrayList<>();
        reports.begin("a");
        reports.abandon("a", FinalReports.release(Duration.ZERO));
        reports.acknowledge(1);
        Settlement settlement = new Settlement(
                null, List.of(error -> settled.add(error.orElseThrow().reason())));
        reports.end("a", FinalReports.stopped(), settlement);
        assertEquals(List.of("LEASE_LOST"), settled);
    }

    private static List<Long> numbers(WorkRequest request) {
        return request.getReportsList().stream()
                .map(AttemptReport::getReportSequence)
                .toList();
    }

    @Test
    void anAttemptIsAcceptedReportedAndRemoved() throws InterruptedException {
        reports.begin("A");
        assertEquals(List.of("A"), reports.nextRequest().getAcceptedLeaseIdsList());
        reports.end("A", FinalReports.stopped());
        assertEquals(List.of(1L), numbers(reports.nextRequest()));
        assertNull(reports.nextRequest());
        assertFalse(reports.awaitAcknowledged(Duration.ZERO));
        reports.acknowledge(1);
        assertTrue(reports.awaitAcknowledged(Duration.ZERO));
    }

    @Test
    void onlyTheNewestProgressIsSentWhileAnEarlierOneIsInFlight() {
        reports.begin("A");
        reports.progress("A", share(0.1));
        assertEquals(List.of(1L), numbers(reports.nextRequest()));
        for (int i = 2; i < 1_000; i++) {
            reports.progress("A", share(i / 1e3));
        }
        assertNull(reports.nextRequest());
        reports.acknowledge(1);
        WorkRequest request = reports.nextRequest();
        assertEquals(1, request.getReportsCount());
        assertEquals(0.999, request.getReports(0).getProgress().getFraction());
    }

    @Test
    void theLastProgressIsSentBeforeTheFinalReport() {
        reports.begin("A");
        reports.progress("A", share(0.1));
        reports.nextRequest();
        reports.progress("A", share(1));
        reports.end("A", FinalReports.stopped());
        WorkRequest request = reports.nextRequest();
        assertEquals(1, request.getReports(0).getProgress().getFraction());
        assertTrue(request.getReports(1).hasStopped());
    }

    @Test
    void reportsAreSentAgainWithTheirNumbersAfterAReconnect() {
        reports.begin("A");
        reports.log("A", line("one"));
        reports.log("A", line("two"));
        reports.end("A", FinalReports.stopped());
        assertEquals(List.of(1L, 2L, 3L), numbers(reports.nextRequest()));
        assertEquals(List.of("A"), beginStream().getHeldLeaseIdsList());
        assertEquals(List.of(), welcome(1, "A"));
        assertEquals(List.of(2L, 3L), numbers(reports.nextRequest()));
    }

    @Test
    void anAttemptThatLostItsLeaseOccupiesItsSlotUntilItStops() {
        reports.begin("A");
        reports.begin("B");
        reports.nextRequest();
        assertEquals(2, beginStream().getSlots());
        assertEquals(List.of("A"), welcome(0, "B"));
        WorkRequest request = reports.nextRequest();
        assertEquals(3, request.getSlots());
        assertEquals(List.of("B"), request.getHeartbeat().getLeaseIdsList());
        reports.end("A", FinalReports.stopped());
        request = reports.nextRequest();
        assertEquals(4, request.getSlots());
        assertEquals(0, request.getReportsCount());
    }

    @Test
    void anAttemptThatDoesNotStopIsReleasedAndOccupiesItsSlot() {
        reports.begin("A");
        reports.nextRequest();
        reports.abandon("A", FinalReports.release(Duration.ZERO));
        WorkRequest request = reports.nextRequest();
        assertTrue(request.getReports(0).hasRelease());
        assertEquals(3, request.getSlots());
        reports.end("A", FinalReports.stopped());
        request = reports.nextRequest();
        assertEquals(4, request.getSlots());
        assertEquals(0, request.getReportsCount(), "each attempt has one final report");
    }

    @Test
    void outputWithoutALeaseIsRejected() {
        reports.begin("A");
        beginStream();
        welcome(0);
        assertThrows(CancellationException.class, () -> reports.output("A", Output.getDefaultInstance(), 1));
    }

    @Test
    void outputOverTheLimitHasAnErrorWithSizeLimitAndHint() {
        reports.begin("A");
        var error = assertThrows(
                InvalidRequestException.class, () -> reports.output("A", Output.getDefaultInstance(), 101));
        assertTrue(error.getMessage().startsWith("output is 101 bytes, limit is 100: "), error.getMessage());
    }

    @Test
    void droppedLogLinesAreCounted() {
        reports.begin("A");
        String large = "x".repeat(1 << 20);
        for (int i = 0; i < 20; i++) {
            reports.log("A", line(large));
        }
        WorkRequest request;
        long last = 0;
        while ((request = reports.nextRequest()) != null) {
            last = request.getReports(request.getReportsCount() - 1).getReportSequence();
        }
        assertEquals(7, last);
        reports.acknowledge(last);
        reports.log("A", line("after"));
        request = reports.nextRequest();
        assertTrue(request.getReports(0).getLog().getText().startsWith("13 log lines were dropped here"));
        assertEquals("after", request.getReports(1).getLog().getText());
    }

    @Test
    void messagesOfAHundredThousandLeasesFitTheReceiveLimit() throws InterruptedException {
        List<String> leases =
                IntStream.range(0, 100_000).mapToObj("%036d"::formatted).toList();
        ReportBuffer large = new ReportBuffer(100_000);
        large.beginStream(Hello.getDefaultInstance());
        large.welcome(Welcome.newBuilder()
                .setLease(Wire.duration(Duration.ofSeconds(30)))
                .setPayloadBytesMax(1 << 20)
                .build());
        leases.forEach(large::begin);
        large.requestHeartbeat();
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
