package io.github.jobstream;

import com.google.protobuf.Duration;
import io.github.jobstream.v1.Assignment;
import io.github.jobstream.v1.AttemptReport;
import io.github.jobstream.v1.ReportRefusal;
import io.github.jobstream.v1.Welcome;
import io.github.jobstream.v1.WorkRequest;
import io.github.jobstream.v1.WorkResponse;
import io.github.jobstream.v1.WorkerServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;

/**
 * A gRPC server that assigns the attempts a, b and c of kind {@code settles}. It takes their ends, and the stream breaks
 * before the acknowledgement. The next Welcome repeats the refusal of b; the first of the other ends may be refused, too.
 */
final class LostRefusalServer implements AutoCloseable {
    private static final List<String> LEASES = List.of("a", "b", "c");

    private final Map<String, Long> numbers = new ConcurrentHashMap<>();
    private final Map<String, Optional<JobstreamException>> settled = new ConcurrentHashMap<>();
    private final CountDownLatch areSettled = new CountDownLatch(LEASES.size());
    private final Server server;

    LostRefusalServer() throws IOException {
        server = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                .addService(new Workers())
                .build()
                .start();
    }

    String address() {
        return "http://127.0.0.1:" + server.getPort();
    }

    /** Records the error of the attempt's callback. */
    void settled(String lease, Optional<JobstreamException> error) {
        settled.put(lease, error);
        areSettled.countDown();
    }

    /** Waits for the callbacks. Returns the errors of the refused end, the unknown one and the recorded one. */
    List<String> awaitSettled() throws InterruptedException {
        areSettled.await();
        boolean isUnknownA = numbers.get("a") < numbers.get("c");
        List<String> errors = new ArrayList<>();
        for (String lease : List.of("b", isUnknownA ? "a" : "c", isUnknownA ? "c" : "a")) {
            errors.add(settled.get(lease)
                    .map(error -> error.getClass().getSimpleName())
                    .orElse("recorded"));
        }
        return errors;
    }

    @Override
    public void close() {
        server.shutdownNow();
    }

    private WorkResponse assigning() {
        WorkResponse.Builder response = WorkResponse.newBuilder().setWelcome(terms());
        for (String lease : LEASES) {
            response.addAssignments(Assignment.newBuilder()
                    .setLeaseId(lease)
                    .setJobId(lease)
                    .setAttempt(1)
                    .setKind("settles")
                    .setTimeLeft(Duration.newBuilder().setSeconds(60)));
        }
        return response.build();
    }

    private WorkResponse refusing() {
        ReportRefusal.Builder refusal =
                ReportRefusal.newBuilder().setReportSequence(numbers.get("b")).setLeaseId("b");
        refusal.getErrorBuilder().setCode(Status.Code.FAILED_PRECONDITION.value());
        Welcome.Builder welcome = terms().addRefusals(refusal)
                .setAckedReportSequence(LEASES.size())
                .setUnknownReportSequence(Math.min(numbers.get("a"), numbers.get("c")));
        return WorkResponse.newBuilder().setWelcome(welcome).build();
    }

    private static Welcome.Builder terms() {
        return Welcome.newBuilder()
                .setWorkerId("w")
                .setPayloadBytesMax(1 << 20)
                .setLease(Duration.newBuilder().setSeconds(30))
                .setPingInterval(Duration.newBuilder().setSeconds(10));
    }

    private final class Workers extends WorkerServiceGrpc.WorkerServiceImplBase {
        @Override
        public StreamObserver<WorkRequest> work(StreamObserver<WorkResponse> responses) {
            responses.onNext(numbers.isEmpty() ? assigning() : refusing());
            return new Requests(responses);
        }
    }

    private final class Requests implements StreamObserver<WorkRequest> {
        private final StreamObserver<WorkResponse> responses;

        Requests(StreamObserver<WorkResponse> responses) {
            this.responses = responses;
        }

        @Override
        public void onNext(WorkRequest request) {
            for (AttemptReport report : request.getReportsList()) {
                numbers.put(report.getLeaseId(), report.getReportSequence());
                if (numbers.size() == LEASES.size()) {
                    responses.onError(Status.UNAVAILABLE.asRuntimeException());
                }
            }
        }

        @Override
        public void onError(Throwable error) {}

        @Override
        public void onCompleted() {
            responses.onCompleted();
        }
    }
}
