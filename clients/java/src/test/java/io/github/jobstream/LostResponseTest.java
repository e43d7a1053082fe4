package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import io.github.jobstream.v1.AdminServiceGrpc;
import io.github.jobstream.v1.DeleteRequest;
import io.github.jobstream.v1.DeleteResponse;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.PurgeQueueRequest;
import io.github.jobstream.v1.PurgeQueueResponse;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Calls whose first response is lost, to a server that executed them. */
@Timeout(30)
class LostResponseTest {
    private static final String ID = "0190c0de-0000-7000-8000-00000000000a";

    private final AtomicInteger deletes = new AtomicInteger();
    private final AtomicInteger purges = new AtomicInteger();
    private Server server;
    private Client client;

    @BeforeEach
    void start() throws IOException {
        server = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                .addService(new JobService())
                .addService(new AdminService())
                .build()
                .start();
        client = Client.connect("127.0.0.1:" + server.getPort());
    }

    @AfterEach
    void stop() {
        client.close();
        server.shutdownNow();
    }

    private final class JobService extends JobServiceGrpc.JobServiceImplBase {
        @Override
        public void delete(DeleteRequest request, StreamObserver<DeleteResponse> response) {
            boolean isFirst = deletes.getAndIncrement() == 0;
            response.onError(isFirst ? Status.UNAVAILABLE.asException() : notFound());
        }
    }

    private final class AdminService extends AdminServiceGrpc.AdminServiceImplBase {
        @Override
        public void purgeQueue(PurgeQueueRequest request, StreamObserver<PurgeQueueResponse> response) {
            purges.getAndIncrement();
            response.onError(Status.UNAVAILABLE.asException());
        }
    }

    private static Throwable notFound() {
        var info = ErrorInfo.newBuilder().setReason("JOB_NOT_FOUND").setDomain("jobstream");
        return StatusProto.toStatusException(com.google.rpc.Status.newBuilder()
                .setCode(Status.Code.NOT_FOUND.value())
                .addDetails(Any.pack(info.build()))
                .build());
    }

    @Test
    void aRepeatedDeleteThatFindsNoJobSucceeds() {
        client.delete(ID);
        assertEquals(2, deletes.get());
        assertThrows(JobNotFoundException.class, () -> client.delete(ID));
    }

    @Test
    void aPurgeIsNotRepeated() {
        assertThrows(UnavailableException.class, () -> client.purgeQueue("media"));
        assertEquals(1, purges.get());
    }
}
