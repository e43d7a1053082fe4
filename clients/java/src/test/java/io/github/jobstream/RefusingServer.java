package io.github.jobstream;

import io.grpc.Grpc;
import io.grpc.HandlerRegistry;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerMethodDefinition;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** A gRPC server that records the headers of every call and refuses it with a status. */
final class RefusingServer extends HandlerRegistry implements AutoCloseable {
    /** A call that was refused. */
    record Call(String method, Metadata headers) {
        String header(String name) {
            return headers.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
        }
    }

    private final List<Call> calls = new CopyOnWriteArrayList<>();
    private final Status status;
    private final Server server;

    RefusingServer(Status.Code code) throws IOException {
        status = code.toStatus().withDescription("refused");
        server = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                .fallbackHandlerRegistry(this)
                .build()
                .start();
    }

    String address() {
        return "http://127.0.0.1:" + server.getPort();
    }

    List<Call> calls() {
        return calls;
    }

    /** The number of calls of a method. */
    long count(String method) {
        return calls.stream()
                .filter(call -> call.method().endsWith("/" + method))
                .count();
    }

    @Override
    public ServerMethodDefinition<?, ?> lookupMethod(String method, String authority) {
        MethodDescriptor<InputStream, InputStream> descriptor = MethodDescriptor.newBuilder(new Bytes(), new Bytes())
                .setType(MethodDescriptor.MethodType.UNKNOWN)
                .setFullMethodName(method)
                .build();
        return ServerMethodDefinition.create(descriptor, (call, headers) -> {
            calls.add(new Call(method, headers));
            call.close(status, new Metadata());
            return new ServerCall.Listener<>() {};
        });
    }

    @Override
    public void close() {
        server.shutdownNow();
    }

    /** Messages are not read. */
    private static final class Bytes implements MethodDescriptor.Marshaller<InputStream> {
        @Override
        public InputStream stream(InputStream value) {
            return value;
        }

        @Override
        public InputStream parse(InputStream stream) {
            return new ByteArrayInputStream(new byte[0]);
        }
    }
}
