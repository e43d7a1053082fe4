package io.github.jobstream;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The channel pool of a client: one channel for all calls, more for many long calls. Channels connect lazily. */
final class Connection implements AutoCloseable {
    /**
     * Number of watches and long polls per channel. Servers limit concurrent streams to about a thousand per
     * connection, and short calls must not queue behind long ones.
     */
    private static final int LONG_CALLS_MAX = 900;
    /** Largest number of channels. Above it watches and long polls queue. */
    private static final int LINKS_MAX = 64;

    private final Address address;
    private final ClientOptions options;
    private final CallHeaders headers;
    private final ChannelCredentials credentials;
    private final Runnable onConnectionEnded;
    private final List<Link> links = new ArrayList<>();

    Connection(Address address, ClientOptions options, Runnable onConnectionEnded) {
        this.address = address;
        this.options = options;
        headers = new CallHeaders(address, options);
        credentials = Tls.credentials(address, options);
        this.onConnectionEnded = onConnectionEnded;
        links.add(open());
    }

    String address() {
        return address.text();
    }

    /** Whether a call that is refused for its token may succeed with the next one. */
    boolean renewsToken() {
        return headers.renewsToken();
    }

    /** The channel for short calls. */
    synchronized Link forShortCalls() {
        return links.get(0);
    }

    /** Acquires a channel for a long call, which releases it. */
    synchronized Link forLongCall() {
        Link leastUsed = links.get(0);
        for (Link link : links) {
            if (link.users < LONG_CALLS_MAX) {
                leastUsed = link;
                break;
            }
            leastUsed = link.users < leastUsed.users ? link : leastUsed;
        }
        if (leastUsed.users >= LONG_CALLS_MAX && links.size() < LINKS_MAX) {
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

    /** Ends every call in flight. */
    @Override
    public void close() {
        List<Link> open;
        synchronized (this) {
            open = List.copyOf(links);
        }
        open.forEach(link -> link.managed().shutdownNow());
    }

    private Link open() {
        ManagedChannel channel = Grpc.newChannelBuilderForAddress(address.host(), address.port(), credentials)
                .userAgent(Version.USER_AGENT)
                .maxInboundMessageSize(options.messageBytesMax)
                .keepAliveTime(options.keepaliveInterval.toNanos(), TimeUnit.NANOSECONDS)
                .keepAliveTimeout(options.keepaliveTimeout.toNanos(), TimeUnit.NANOSECONDS)
                .disableRetry()
                .build();
        return new Link(channel, headers, this);
    }
}
