package io.github.jobstream;

import io.grpc.Status;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * The attempts of one worker that have callbacks of {@link JobContext#onSettled} and ended, until the server has processed
 * their final reports. Guarded by this object. Callbacks are called on the thread of the caller, without a lock.
 */
final class Settlements {
    /** The attempts by the number of their final report. */
    private final NavigableMap<Long, Ended> waiting = new TreeMap<>();

    private boolean hasEnded;

    private record Ended(String lease, Settlement settlement) {}

    /** The error of an attempt whose end the server does not use. */
    static JobstreamException leaseLost() {
        return Errors.classify(ErrorDetails.of(
                Status.Code.FAILED_PRECONDITION,
                "LEASE_LOST",
                "the lease was lost: the server does not use the end of this attempt"));
    }

    private static JobstreamException unknown() {
        return Errors.classify(ErrorDetails.of(
                Status.Code.UNAVAILABLE,
                "",
                "the server did not acknowledge the end of this attempt: it may be recorded or not"));
    }

    /**
     * Adds an attempt whose final report has this number. Returns the error for its callbacks if the worker has ended;
     * else null.
     */
    synchronized JobstreamException add(long sequence, String lease, Settlement settlement) {
        if (settlement.callbacks().isEmpty()) {
            return null;
        }
        if (hasEnded) {
            return unknown();
        }
        waiting.put(sequence, new Ended(lease, settlement));
        return null;
    }

    /** The server refused the report of this number. */
    void refuse(long sequence, JobstreamException error) {
        Ended refused;
        synchronized (this) {
            refused = waiting.remove(sequence);
        }
        if (refused != null) {
            refused.settlement.call(error);
        }
    }

    /**
     * After a reconnect the server may have refused more of the reports up to this number than it listed, except those
     * after {@code acknowledged} with these leases, which are resent.
     */
    void forget(long upTo, long acknowledged, Collection<String> leases) {
        List<Ended> unknown = new ArrayList<>();
        synchronized (this) {
            waiting.headMap(upTo, true).entrySet().removeIf(entry -> {
                boolean isResent = entry.getKey() > acknowledged && leases.contains(entry.getValue().lease);
                return !isResent && unknown.add(entry.getValue());
            });
        }
        unknown.forEach(ended -> ended.settlement.call(unknown()));
    }

    /** The server processed the reports up to this number, and has refused none but those of {@link #refuse}. */
    void acknowledge(long upTo) {
        List<Ended> done;
        synchronized (this) {
            Collection<Ended> acknowledged = waiting.headMap(upTo, true).values();
            done = List.copyOf(acknowledged);
            acknowledged.clear();
        }
        done.forEach(ended -> ended.settlement.call(null));
    }

    /** After a reconnect the server has only these leases. */
    void retain(Collection<String> leases) {
        List<Ended> lost = new ArrayList<>();
        synchronized (this) {
            waiting.values().removeIf(ended -> !leases.contains(ended.lease) && lost.add(ended));
        }
        lost.forEach(ended -> ended.settlement.call(leaseLost()));
    }

    /** The worker has ended: no report is acknowledged any more. */
    void end() {
        List<Ended> left;
        synchronized (this) {
            hasEnded = true;
            left = List.copyOf(waiting.values());
            waiting.clear();
        }
        left.forEach(ended -> ended.settlement.call(unknown()));
    }
}
