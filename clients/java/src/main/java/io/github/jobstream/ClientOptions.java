package io.github.jobstream;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.Objects;

/** How a client connects, how long it waits and how often it tries. Every setter answers the same object. */
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

    /**
     * Longest time of one call with all its tries. A wait for a result and a watch are not bounded by it. Default 30 s.
     */
    public ClientOptions callTimeout(Duration timeout) {
        callTimeout = positive("callTimeout", timeout);
        return this;
    }

    /** Tries of one call in all, the first included. Default 6. */
    public ClientOptions tries(int tries) {
        if (tries < 1) {
            throw new IllegalArgumentException("tries is " + tries + ": use 1 for a single try, or more");
        }
        this.tries = tries;
        return this;
    }

    /**
     * Bounds of the pauses between tries: the first one, doubled each time up to the longest. A pause is a random part
     * of its bound, plus what the server asks for. Default 100 ms and 5 s.
     */
    public ClientOptions pauses(Duration first, Duration longest) {
        firstPause = positive("first pause", first);
        longestPause = positive("longest pause", longest);
        return this;
    }

    /** How long a watch or a wait for a result looks for a server that is away. Default 5 min. */
    public ClientOptions patience(Duration patience) {
        this.patience = notNegative("patience", patience);
        return this;
    }

    /**
     * After each silence of this length the server says on a watch that it is there, 1 s to 1 h; a watch that was silent
     * for three of them connects anew. Default 15 s.
     */
    public ClientOptions heartbeat(Duration heartbeat) {
        this.heartbeat = positive("heartbeat", heartbeat);
        return this;
    }

    /** How long the server holds one poll for a result, at most 60 s. Default 30 s. */
    public ClientOptions poll(Duration poll) {
        this.poll = positive("poll", poll);
        return this;
    }

    /**
     * HTTP/2 PING after each silence of this length, at least 10 s, and how long its answer may take before the
     * connection is given up. Default 10 s and 5 s.
     */
    public ClientOptions keepalive(Duration interval, Duration timeout) {
        keepaliveInterval = positive("keepalive interval", interval);
        keepaliveTimeout = positive("keepalive timeout", timeout);
        return this;
    }

    /**
     * Largest message that is read, in bytes; of a worker at least 64 KiB. A worker says it to the server, which gives jobs
     * that do not fit to others. Default 16 MiB: several times what a server sends by default.
     */
    public ClientOptions messageBytesMax(int bytes) {
        if (bytes < 1) {
            throw new IllegalArgumentException("messageBytesMax is " + bytes + ": use a positive number of bytes");
        }
        messageBytesMax = bytes;
        return this;
    }

    /** Reads and writes JSON in place of the client's own mapper. */
    public ClientOptions json(ObjectMapper mapper) {
        json = Objects.requireNonNull(mapper, "mapper");
        return this;
    }

    private static Duration positive(String name, Duration value) {
        if (notNegative(name, value).isZero()) {
            throw new IllegalArgumentException(name + " is zero: use a positive duration");
        }
        return value;
    }

    private static Duration notNegative(String name, Duration value) {
        if (value.isNegative()) {
            throw new IllegalArgumentException(name + " is negative, " + value + ": use a positive duration");
        }
        return value;
    }
}
