package io.github.jobstream;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.grpc.Metadata;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/** Credentials, timeouts and limits of a client. Every setter returns this object. */
public final class ClientOptions {
    Duration callTimeout = Duration.ofSeconds(30);
    int tries = 6;
    Duration firstPause = Duration.ofMillis(100);
    Duration longestPause = Duration.ofSeconds(5);
    Duration patience = Duration.ofMinutes(5);
    Duration heartbeat = Duration.ofSeconds(15);
    Duration poll = Duration.ofSeconds(30);
    Duration keepaliveInterval = Duration.ofSeconds(20);
    Duration keepaliveTimeout = Duration.ofSeconds(10);
    int messageBytesMax = 16 << 20;
    final List<SubmitInterceptor> interceptors = new ArrayList<>();
    ObjectMapper json;
    byte[] ca;
    ClientCertificate identity;
    BearerToken token;
    /** Whether a token was set, an empty one too: the environment is not used then. */
    boolean hasToken;

    boolean allowInsecureToken;
    Metadata metadata = new Metadata();

    ClientOptions() {}

    /** Deadline of one call including its retries. Does not limit waits for a result and watches. Default 30 s. */
    public ClientOptions callTimeout(Duration timeout) {
        callTimeout = positive("callTimeout", timeout);
        return this;
    }

    /** Number of attempts of one call including the first. Default 6. */
    public ClientOptions tries(int tries) {
        if (tries < 1) {
            throw new IllegalArgumentException("tries is " + tries + ": must be 1 or more");
        }
        this.tries = tries;
        return this;
    }

    /**
     * Exponential back-off between attempts: the first back-off is doubled up to the longest. A random part of it is
     * used (full jitter), plus the delay requested by the server. Default 100 ms and 5 s.
     */
    public ClientOptions pauses(Duration first, Duration longest) {
        firstPause = positive("first pause", first);
        longestPause = positive("longest pause", longest);
        return this;
    }

    /** How long a watch or a wait for a result tries to reconnect to an unavailable server. Default 5 min. */
    public ClientOptions patience(Duration patience) {
        this.patience = notNegative("patience", patience);
        return this;
    }

    /**
     * Heartbeat interval of watches, 1 s to 1 h. After three missed heartbeats a watch resumes on another connection.
     * Default 15 s.
     */
    public ClientOptions heartbeat(Duration heartbeat) {
        this.heartbeat = positive("heartbeat", heartbeat);
        return this;
    }

    /** Longest wait of one long poll for a result, at most 60 s. Default 30 s. */
    public ClientOptions poll(Duration poll) {
        this.poll = positive("poll", poll);
        return this;
    }

    /**
     * HTTP/2 keepalive while calls are open: the time without data before a PING, at least 10 s, and the time to wait
     * for its response before the connection is closed. Default 20 s and 10 s.
     */
    public ClientOptions keepalive(Duration interval, Duration timeout) {
        keepaliveInterval = positive("keepalive interval", interval);
        keepaliveTimeout = positive("keepalive timeout", timeout);
        return this;
    }

    /**
     * Receive limit in bytes; at least 64 KiB for a worker. A worker reports it to the server, which assigns larger
     * jobs to other workers. Default 16 MiB, several times the largest message that a server sends by default.
     */
    public ClientOptions messageBytesMax(int bytes) {
        if (bytes < 1) {
            throw new IllegalArgumentException("messageBytesMax is " + bytes + ": must be positive");
        }
        messageBytesMax = bytes;
        return this;
    }

    /** Replaces the JSON mapper of the client. */
    public ClientOptions json(ObjectMapper mapper) {
        json = Objects.requireNonNull(mapper, "mapper");
        return this;
    }

    /** Adds an interceptor around the submit of each job. The first is the outermost. */
    public ClientOptions interceptor(SubmitInterceptor interceptor) {
        interceptors.add(Objects.requireNonNull(interceptor, "interceptor"));
        return this;
    }

    /**
     * Trusts the authorities whose certificates are in this PEM file, in place of those of the Java installation.
     * Default: the file that the environment variable {@code JOBSTREAM_CA} names, if it is set.
     *
     * @throws IllegalArgumentException if it cannot be read or has no certificate
     */
    public ClientOptions ca(Path pem) {
        return ca(Tls.Pem.read("ca", pem.toString()));
    }

    /** Trusts the authorities whose certificates are in this PEM content, like {@link #ca(Path)}. */
    public ClientOptions ca(byte[] pem) {
        return ca(Tls.Pem.of("ca", pem));
    }

    private ClientOptions ca(Tls.Pem pem) {
        Tls.checkCertificates(pem);
        ca = pem.content;
        return this;
    }

    /**
     * The certificate of this client, followed by intermediate ones, and its private key (PKCS #8), for servers that
     * require one: PEM files. They are read again for each new connection, so they may be replaced by those of a renewed
     * certificate. If they are unusable then, the former certificate is used, with a warning in the log.
     *
     * @throws IllegalArgumentException if a file cannot be read, or the key is not that of the certificate
     */
    public ClientOptions clientCertificate(Path certificate, Path key) {
        identity = ClientCertificate.of(certificate, key);
        return this;
    }

    /** The certificate of this client and its key as PEM content, like {@link #clientCertificate(Path, Path)}, read once. */
    public ClientOptions clientCertificate(byte[] certificate, byte[] key) {
        identity = ClientCertificate.of(certificate, key);
        return this;
    }

    /**
     * The bearer token of every call and stream; empty for none. Default: the environment variable {@code
     * JOBSTREAM_TOKEN}.
     *
     * @throws IllegalArgumentException if it has characters that no header may have
     */
    public ClientOptions token(String token) {
        this.token = token.isBlank() ? null : BearerToken.of(token, "token");
        hasToken = true;
        return this;
    }

    /**
     * Supplies the current bearer token. It is called for each call and each stream, so it should cache; it may block. If
     * the server refuses its token with UNAUTHENTICATED, the call is repeated once with a new one.
     */
    public ClientOptions token(Supplier<String> token) {
        this.token = BearerToken.renewedBy(Objects.requireNonNull(token, "token"));
        hasToken = true;
        return this;
    }

    /** Whether to send the token over plain text to a host other than loopback. Default false: an error instead. */
    public ClientOptions allowInsecureToken(boolean allow) {
        allowInsecureToken = allow;
        return this;
    }

    /**
     * Adds headers to every call and stream, for example for a proxy.
     *
     * @throws IllegalArgumentException if a name or a value is not allowed
     */
    public ClientOptions metadata(Map<String, String> headers) {
        headers.forEach((name, value) -> metadata.put(CallHeaders.key(name, value), value));
        return this;
    }

    private static Duration positive(String name, Duration value) {
        if (notNegative(name, value).isZero()) {
            throw new IllegalArgumentException(name + " is zero: must be positive");
        }
        return value;
    }

    private static Duration notNegative(String name, Duration value) {
        if (value.isNegative()) {
            throw new IllegalArgumentException(name + " is negative, " + value + ": must not be negative");
        }
        return value;
    }
}
