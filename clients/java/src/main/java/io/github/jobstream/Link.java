package io.github.jobstream;

import io.grpc.Channel;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;

/** A channel, and how many held calls use it. Calls go over one connection at a time, which it opens anew by itself. */
final class Link {
    private final ManagedChannel channel;
    private final Connection owner;
    /** Guarded by the owner. */
    int users;

    Link(ManagedChannel channel, Connection owner) {
        this.channel = channel;
        this.owner = owner;
        watchState();
    }

    ManagedChannel managed() {
        return channel;
    }

    /**
     * For a new call. A channel that failed to connect would fail it at once, for as long as its own pause lasts, which
     * is a second at least: here the callers pause, so it begins anew.
     */
    Channel fresh() {
        if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
            channel.enterIdle();
        }
        return channel;
    }

    /** Gives up a connection that is open and silent: the next call opens another. Calls on the old one go on. */
    void abandonConnection() {
        channel.enterIdle();
    }

    /** The held call has ended. */
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
