package io.github.jobstream;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;

/** A channel with the number of long calls on it. It reconnects by itself. */
final class Link {
    private final ManagedChannel channel;
    /** The channel with the headers of every call. */
    private final Channel withHeaders;

    private final Connection owner;
    /** Guarded by the owner. */
    int users;

    Link(ManagedChannel channel, CallHeaders headers, Connection owner) {
        this.channel = channel;
        withHeaders = ClientInterceptors.intercept(channel, headers);
        this.owner = owner;
        watchState();
    }

    ManagedChannel managed() {
        return channel;
    }

    /**
     * The channel for a new call. A failed channel rejects calls during its own back-off, which is at least a second.
     * The callers back off themselves, so the channel reconnects immediately.
     */
    Channel channelForCall() {
        if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
            channel.enterIdle();
        }
        return withHeaders;
    }

    /** A new call. It does not inherit the deadline or cancellation of a gRPC call that the current thread serves. */
    <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, CallOptions options) {
        Context previous = Context.ROOT.attach();
        try {
            return channelForCall().newCall(method, options);
        } finally {
            Context.ROOT.detach(previous);
        }
    }

    /**
     * Replaces a connection that is open but does not respond. The next call opens another. Calls on the old one
     * continue.
     */
    void replaceConnection() {
        channel.enterIdle();
    }

    /** Ends the use by a long call. */
    void release() {
        owner.release(this);
    }

    private void watchState() {
        ConnectivityState now = channel.getState(false);
        if (now != ConnectivityState.SHUTDOWN) {
            channel.notifyWhenStateChanged(now, () -> {
                if (now == ConnectivityState.READY) {
                    owner.connectionEnded();
                }
                watchState();
            });
        }
    }
}
