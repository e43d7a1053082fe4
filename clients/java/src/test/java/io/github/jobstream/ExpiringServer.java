package io.github.jobstream;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.ErrorInfo;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.StateChange;
import io.github.jobstream.v1.WatchResultRequest;
import io.github.jobstream.v1.WatchResultResponse;
import io.github.jobstream.v1.Welcome;
import io.github.jobstream.v1.WorkRequest;
import io.github.jobstream.v1.WorkResponse;
import io.github.jobstream.v1.WorkerServiceGrpc;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A gRPC server whose streams end because their token expires: the first one with UNAVAILABLE. It refuses the token
 * {@code old} from then on.
 */
final class ExpiringServer implements AutoCloseable {
    private static final Metadata.Key<String> HEADER =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private static final Context.Key<String> AUTHORIZATION = Context.key("authorization");

    private final List<String> authorizations = new CopyOnWriteArrayList<>();
    private final Server server;

    ExpiringServer() throws IOException {
        server = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                .intercept(new Headers())
                .addService(new Watches())
                .addService(new Workers())
                .build()
                .start();
    }

    String address() {
        return "http://127.0.0.1:" + server.getPort();
    }

    /** The header of each stream. */
    List<String> authorizations() {
        return authorizations;
    }

    @Override
    public void close() {
        server.shutdownNow();
    }

    /** Whether it is the first stream. */
    private boolean admit() {
        authorizations.add(AUTHORIZATION.get());
        if (authorizations.size() > 1 && "Bearer old".equals(AUTHORIZATION.get())) {
            throw expired(Status.Code.UNAUTHENTICATED);
        }
        return authorizations.size() == 1;
    }

    private static StatusRuntimeException expired(Status.Code code) {
        ErrorInfo info = ErrorInfo.newBuilder()
                .setDomain("jobstream")
                .setReason("CREDENTIAL_EXPIRED")
                .build();
        return StatusProto.toStatusRuntimeException(com.google.rpc.Status.newBuilder()
                .setCode(code.value())
                .setMessage("the token has expired")
                .addDetails(Any.pack(info))
                .build());
    }

    private static final class Headers implements ServerInterceptor {
        @Override
        public <Q, A> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
            Context context = Context.current().withValue(AUTHORIZATION, headers.get(HEADER));
            return Contexts.interceptCall(context, call, headers, next);
        }
    }

    private final class Watches extends JobServiceGrpc.JobServiceImplBase {
        @Override
        public void watchResult(WatchResultRequest request, StreamObserver<WatchResultResponse> responses) {
            try {
                boolean isFirst = admit();
                var state = isFirst
                        ? io.github.jobstream.v1.JobState.JOB_STATE_QUEUED
                        : io.github.jobstream.v1.JobState.JOB_STATE_CANCELLED;
                responses.onNext(WatchResultResponse.newBuilder()
                        .setEvent(io.github.jobstream.v1.JobEvent.newBuilder()
                                .setSequence(request.getAfterSequence() + 1)
                                .setStateChange(StateChange.newBuilder().setState(state)))
                        .build());
                if (isFirst) {
                    throw expired(Status.Code.UNAVAILABLE);
                }
                responses.onCompleted();
            } catch (StatusRuntimeException refused) {
                responses.onError(refused);
            }
        }
    }

    private final class Workers extends WorkerServiceGrpc.WorkerServiceImplBase {
        @Override
        public StreamObserver<WorkRequest> work(StreamObserver<WorkResponse> responses) {
            try {
                admit();
                responses.onNext(WorkResponse.newBuilder()
                        .setWelcome(Welcome.newBuilder()
                                .setWorkerId("w")
                                .setLease(Duration.newBuilder().setSeconds(30))
                                .setPingInterval(Duration.newBuilder().setSeconds(10)))
                        .build());
                throw expired(Status.Code.UNAVAILABLE);
            } catch (StatusRuntimeException refused) {
                responses.onError(refused);
            }
            return new Ignored();
        }
    }

    private static final class Ignored implements StreamObserver<WorkRequest> {
        @Override
        public void onNext(WorkRequest request) {}

        @Override
        public void onError(Throwable error) {}

        @Override
        public void onCompleted() {}
    }
}
