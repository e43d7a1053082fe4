package io.github.jobstream;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.TlsChannelCredentials;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The channels to one server: one for every call, more when many calls are held open. Lazy. */
final class Connection implements AutoCloseable {
    /**
     * Watches and waits on one connection before another is opened. Servers allow about a thousand calls at a time on
     * each, and short ones must not queue behind those that are held open.
     */
    private static final int HELD_CALLS_MAX = 900;
    /** Most connections at a time; beyond it watches and waits queue on those there are. */
    private static final int LINKS_MAX = 64;

    private final Address address;
    private final ClientOptions options;
    private final Runnable onConnectionEnded;
    private final List<Link> links = new ArrayList<>();

    Connection(Address address, ClientOptions options, Runnable onConnectionEnded) {
        this.address = address;
        this.options = options;
        this.onConnectionEnded = onConnectionEnded;
        links.add(open());
    }

    String address() {
        return address.text();
    }

    /** For calls that are answered at once. */
    synchronized Link forShortCalls() {
        return links.get(0);
    }

    /** For a call that is held open, until it releases the link. */
    synchronized Link forHeldCall() {
        Link leastUsed = links.get(0);
        for (Link link : links) {
            if (link.users < HELD_CALLS_MAX) {
                leastUsed = link;
                break;
            }
            leastUsed = link.users < leastUsed.users ? link : leastUsed;
        }
        if (leastUsed.users >= HELD_CALLS_MAX && links.size() < LINKS_MAX) {
            leastUsed = open();
            links.add(leastUsed);
        }
        leastUsed.users++;
        return leastUsed;
    }

    synchronized void release(Link link) {
        link.users--;
    }

    void connectionEnded() {
        onConnectionEnded.run();
    }

    /** Ends every call that is open. */
    @Override
    public void close() {
        List<Link> open;
        synchronized (this) {
            open = List.copyOf(links);
        }
        open.forEach(link -> link.managed().shutdownNow());
    }

    private Link open() {
        var credentials = address.isTls() ? TlsChannelCredentials.create() : InsecureChannelCredentials.create();
        ManagedChannel channel = Grpc.newChannelBuilderForAddress(address.host(), address.port(), credentials)
                .userAgent(Version.USER_AGENT)
                .maxInboundMessageSize(options.messageBytesMax)
                .keepAliveTime(options.keepaliveInterval.toNanos(), TimeUnit.NANOSECONDS)
                .keepAliveTimeout(options.keepaliveTimeout.toNanos(), TimeUnit.NANOSECONDS)
                .keepAliveWithoutCalls(true)
                .disableRetry()
                .build();
        return new Link(channel, this);
    }
}
