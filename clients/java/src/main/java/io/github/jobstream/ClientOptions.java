package io.github.jobstream;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.Objects;

/** Timeouts and limits of a client. Every setter returns this object. */
public final class ClientOptions {
    Duration callTimeout = Duration.ofSeconds(30);
    int tries = 6;
    Duration firstPause = Duration.ofMillis(100);
    Duration longestPause = Duration.ofSeconds(5);
    Duration patience = Duration.ofMinutes(5);
    Duration heartbeat = Duration.ofSeconds(15);
    Duration poll = Duration.ofSeconds(30);
    Duration keepaliveInterval = Duration.ofSeconds(10);
    Duration keepaliveTimeout = Duration.ofSeconds(5);
    int messageBytesMax = 16 << 20;
    ObjectMapper json;

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
     * Idle time before an HTTP/2 PING, at least 10 s, and the time to wait for its response before the connection is
     * closed. Default 10 s and 5 s.
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
