package io.github.jobstream;

import io.github.jobstream.v1.AttemptReport;
import io.github.jobstream.v1.Hello;
import io.github.jobstream.v1.Log;
import io.github.jobstream.v1.LogStream;
import io.github.jobstream.v1.Output;
import io.github.jobstream.v1.Progress;
import io.github.jobstream.v1.Welcome;
import io.github.jobstream.v1.WorkRequest;
import io.github.jobstream.v1.WorkerHeartbeat;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Semaphore;

/**
 * The state that a worker sends to its server, across all its connections: numbered reports until they are
 * acknowledged, running attempts, accepted leases, slots and heartbeats. Guarded by this object.
 */
final class ReportBuffer {
    /**
     * Most bytes of unacknowledged progress, output and logs. Above it output waits and log lines are dropped and
     * counted. Final reports are not limited: there is one per slot.
     */
    private static final int BUFFER_BYTES_MAX = 8 << 20;
    /** Size in bytes above which a message takes no further report. A larger report is sent alone. */
    private static final int REQUEST_BYTES = 1 << 20;
    /** Most leases that a message accepts, and most that its heartbeat lists: about 400 KB each. */
    private static final int LEASES_MAX = 10_000;
    /** Largest size of the leases in a message with a report larger than the limit. */
    private static final int EXTRA_LEASES_BYTES = 1 << 10;
    /** Most leases in Hello. */
    private static final int HELD_LEASES_MAX = 100_000;

    private final Semaphore space = new Semaphore(BUFFER_BYTES_MAX);
    private final Settlements settlements = new Settlements();
    /** Unacknowledged reports, oldest first. */
    private final List<Entry> reports = new ArrayList<>();
    /** Running attempts by lease. */
    private final Map<String, RunningAttempt> attempts = new LinkedHashMap<>();
    /** Leases whose newest progress is not in a report yet. */
    private final Set<String> progressed = new LinkedHashSet<>();

    private final Deque<String> acceptedLeases = new ArrayDeque<>();
    /** Leases that the heartbeat in progress has not listed yet. */
    private final Deque<String> heartbeatLeases = new ArrayDeque<>();
    /** Number of the last report. */
    private long lastSequence;
    /** Number of reports sent on the current stream. */
    private int sent;

    private boolean heartbeatRequested;
    private long leasesRenewedNanos = System.nanoTime();
    private int slots;
    private int slotsSent;
    private long leaseNanos = Long.MAX_VALUE;
    private int payloadBytesMax = Integer.MAX_VALUE;
    private Runnable wake = () -> {};

    ReportBuffer(int slots) {
        this.slots = slots;
    }

    /** An unacknowledged report. */
    private record Entry(AttemptReport report, int bytes, boolean isFinal) {
        String lease() {
            return report.getLeaseId();
        }
    }

    /** A running attempt. */
    private static final class RunningAttempt {
        Progress progress;
        /**
         * Number of its progress report in flight; 0 if there is none. Newer progress waits until it is acknowledged.
         */
        long progressInFlight;
        /** Log lines dropped since the last buffered one. */
        int dropped;
        /** The server does not know the lease. The attempt occupies its slot until it stops. */
        boolean leaseLost;
    }

    /** Sets the callback for new data to send. */
    synchronized void onChange(Runnable wake) {
        this.wake = wake;
    }

    /**
     * Records a new attempt and accepts its lease. Returns false after it released the attempt of a worker that drains:
     * the server sent the assignment before it received that the worker has no slots. The caller sends either.
     */
    synchronized boolean begin(String lease) {
        if (slots == 0) {
            push(lease, FinalReports.release(Duration.ZERO), 0, true);
            return false;
        }
        attempts.put(lease, new RunningAttempt());
        acceptedLeases.add(lease);
        return true;
    }

    void progress(String lease, Progress progress) {
        synchronized (this) {
            RunningAttempt attempt = leased(lease);
            if (attempt == null) {
                return;
            }
            attempt.progress = progress;
            progressed.add(lease);
            if (attempt.progressInFlight > 0) {
                return;
            }
        }
        wake();
    }

    /** Buffers a log line. Drops and counts it if the buffer is full. */
    void log(String lease, Log log) {
        synchronized (this) {
            RunningAttempt attempt = leased(lease);
            if (attempt == null) {
                return;
            }
            AttemptReport.Builder report = AttemptReport.newBuilder().setLog(log);
            int bytes = log.getSerializedSize();
            if (!space.tryAcquire(bytes)) {
                attempt.dropped++;
                return;
            }
            pushDroppedCount(lease, attempt);
            push(lease, report, bytes, false);
        }
        wake();
    }

    /**
     * Buffers a chunk of output. Blocks while the buffer is full.
     *
     * @throws InvalidRequestException if the chunk is over the payload limit
     * @throws CancellationException if the lease was lost
     */
    void output(String lease, Output output, int size) throws InterruptedException {
        SizeLimit.check("output", size, payloadBytesMax());
        int bytes = Math.min(output.getSerializedSize(), BUFFER_BYTES_MAX);
        space.acquire(bytes);
        synchronized (this) {
            if (leased(lease) == null) {
                space.release(bytes);
                throw new CancellationException("the lease was lost: stop the handler");
            }
            push(lease, AttemptReport.newBuilder().setOutput(output), bytes, false);
        }
        wake();
    }

    /** Ends an attempt without callbacks. A second final report is dropped. */
    void end(String lease, AttemptReport.Builder report) {
        end(lease, report, Settlement.NONE);
    }

    /** Ends an attempt. Its callbacks are called once it is known whether the server uses the final report. */
    void end(String lease, AttemptReport.Builder report, Settlement settlement) {
        JobstreamException error;
        synchronized (this) {
            RunningAttempt attempt = attempts.remove(lease);
            progressed.remove(lease);
            if (attempt != null && !attempt.leaseLost) {
                pushFinal(lease, attempt, report);
                error = settlements.add(lastSequence, lease, settlement);
            } else {
                error = Settlements.leaseLost();
            }
        }
        wake();
        if (error != null) {
            settlement.call(error);
        }
    }

    /** The callbacks of attempts that have ended. */
    Settlements settlements() {
        return settlements;
    }

    /** Ends an attempt whose handler does not stop. The handler occupies its slot until it returns. */
    void abandon(String lease, AttemptReport.Builder report) {
        synchronized (this) {
            RunningAttempt attempt = leased(lease);
            if (attempt == null) {
                return;
            }
            pushFinal(lease, attempt, report);
            progressed.remove(lease);
            attempt.leaseLost = true;
        }
        wake();
    }

    /** Requests a heartbeat. */
    void requestHeartbeat() {
        synchronized (this) {
            heartbeatRequested = true;
        }
        wake();
    }

    void setSlots(int slots) {
        synchronized (this) {
            this.slots = slots;
        }
        wake();
    }

    void acknowledge(long upTo) {
        synchronized (this) {
            removeUpTo(upTo);
        }
        wake();
        settlements.acknowledge(upTo);
    }

    /** Begins a stream. Returns Hello with the slots and the held leases. */
    synchronized Hello beginStream(Hello hello) {
        sent = 0;
        heartbeatLeases.clear();
        // An attempt whose lease is lost occupies its slot until it stops.
        slotsSent = Math.max(0, slots - attempts.size());
        List<String> held = held().stream().limit(HELD_LEASES_MAX).toList();
        return hello.toBuilder().setSlots(slotsSent).addAllHeldLeaseIds(held).build();
    }

    /** Applies Welcome. Returns the attempts whose leases are lost. */
    synchronized List<String> welcome(Welcome welcome) {
        leaseNanos = Blocking.nanos(Wire.duration(welcome.getLease()));
        payloadBytesMax = welcome.getPayloadBytesMax();
        Set<String> valid = new HashSet<>(welcome.getStandingLeaseIdsList());
        List<String> lost = new ArrayList<>();
        attempts.forEach((lease, attempt) -> {
            if (!valid.contains(lease) && !attempt.leaseLost) {
                attempt.leaseLost = true;
                lost.add(lease);
            }
        });
        reports.removeIf(entry -> !valid.contains(entry.lease()) && releaseSpace(entry));
        removeUpTo(welcome.getAckedReportSequence());
        progressed.retainAll(valid);
        acceptedLeases.clear();
        acceptedLeases.addAll(running());
        heartbeatRequested = !acceptedLeases.isEmpty();
        if (acceptedLeases.isEmpty()) {
            leasesRenewedNanos = System.nanoTime();
        }
        return lost;
    }

    /** Builds a message of everything to send; null if there is nothing. */
    synchronized WorkRequest nextRequest() {
        WorkRequest.Builder request = WorkRequest.newBuilder();
        int free = Math.max(0, slots - lostLeases());
        if (free != slotsSent) {
            slotsSent = free;
            request.setSlots(free);
        }
        addHeartbeat(request);
        if (!heartbeatLeases.isEmpty()) {
            // A final report of a listed lease must not be sent before the rest of the heartbeat.
            return request.build();
        }
        addAcceptedLeases(request);
        pushProgress();
        addReports(request);
        WorkRequest built = request.build();
        return built.getSerializedSize() == 0 ? null : built;
    }

    private void addHeartbeat(WorkRequest.Builder request) {
        if (heartbeatRequested) {
            heartbeatRequested = false;
            leasesRenewedNanos = System.nanoTime();
            heartbeatLeases.clear();
            heartbeatLeases.addAll(liveLeases());
        } else if (heartbeatLeases.isEmpty()) {
            return;
        }
        WorkerHeartbeat.Builder heartbeat = request.getHeartbeatBuilder();
        while (!heartbeatLeases.isEmpty() && heartbeat.getLeaseIdsCount() < LEASES_MAX) {
            heartbeat.addLeaseIds(heartbeatLeases.remove());
        }
    }

    private void addAcceptedLeases(WorkRequest.Builder request) {
        while (!acceptedLeases.isEmpty() && request.getAcceptedLeaseIdsCount() < LEASES_MAX) {
            String lease = acceptedLeases.remove();
            // A final report accepts its lease implicitly.
            if (leased(lease) != null) {
                request.addAcceptedLeaseIds(lease);
            }
        }
    }

    /** Time until the leases expire if no heartbeat is sent; negative once they have expired. */
    synchronized long leaseLeftNanos() {
        return leaseNanos == Long.MAX_VALUE ? leaseNanos : leasesRenewedNanos + leaseNanos - System.nanoTime();
    }

    synchronized int payloadBytesMax() {
        return payloadBytesMax;
    }

    /** Waits until every report is acknowledged. Returns false after this time. */
    synchronized boolean awaitAcknowledged(Duration limit) throws InterruptedException {
        long deadlineNanos = System.nanoTime() + limit.toNanos();
        while (!reports.isEmpty()) {
            long leftMillis = (deadlineNanos - System.nanoTime()) / 1_000_000;
            if (leftMillis <= 0) {
                return false;
            }
            wait(leftMillis);
        }
        return true;
    }

    private void wake() {
        Runnable woken;
        synchronized (this) {
            woken = wake;
        }
        woken.run();
    }

    private RunningAttempt leased(String lease) {
        RunningAttempt attempt = attempts.get(lease);
        return attempt == null || attempt.leaseLost ? null : attempt;
    }

    private long push(String lease, AttemptReport.Builder report, int bytes, boolean isFinal) {
        report.setLeaseId(lease).setReportSequence(++lastSequence);
        reports.add(new Entry(report.build(), bytes, isFinal));
        return lastSequence;
    }

    private void pushFinal(String lease, RunningAttempt attempt, AttemptReport.Builder report) {
        if (attempt.progress != null) {
            push(lease, AttemptReport.newBuilder().setProgress(attempt.progress), 0, false);
        }
        pushDroppedCount(lease, attempt);
        push(lease, report, 0, true);
    }

    private void pushDroppedCount(String lease, RunningAttempt attempt) {
        if (attempt.dropped > 0) {
            String text = attempt.dropped + " log lines were dropped here: the send buffer was full";
            attempt.dropped = 0;
            Log note = Log.newBuilder()
                    .setText(text)
                    .setLevel(Wire.level(LogLevel.WARN))
                    .setStream(LogStream.LOG_STREAM_LOG)
                    .build();
            push(lease, AttemptReport.newBuilder().setLog(note), 0, false);
        }
    }

    private void removeUpTo(long upTo) {
        int done = 0;
        while (done < reports.size() && reports.get(done).report.getReportSequence() <= upTo) {
            releaseSpace(reports.get(done++));
        }
        reports.subList(0, done).clear();
        sent = Math.max(0, sent - done);
        attempts.values().stream()
                .filter(attempt -> attempt.progressInFlight <= upTo)
                .forEach(attempt -> attempt.progressInFlight = 0);
        if (reports.isEmpty()) {
            notifyAll();
        }
    }

    private boolean releaseSpace(Entry entry) {
        space.release(entry.bytes);
        return true;
    }

    /** Buffers reports of the newest progress of each attempt, up to the buffer limit. */
    private void pushProgress() {
        progressed.removeIf(lease -> {
            RunningAttempt attempt = leased(lease);
            if (attempt == null) {
                return true;
            }
            int bytes = attempt.progress.getSerializedSize();
            if (attempt.progressInFlight > 0 || !space.tryAcquire(bytes)) {
                return false;
            }
            AttemptReport.Builder report = AttemptReport.newBuilder().setProgress(attempt.progress);
            attempt.progressInFlight = push(lease, report, bytes, false);
            attempt.progress = null;
            return true;
        });
    }

    private void addReports(WorkRequest.Builder request) {
        int bytes = request.buildPartial().getSerializedSize();
        while (sent < reports.size()) {
            AttemptReport report = reports.get(sent).report;
            int more = report.getSerializedSize();
            boolean isAlone = request.getReportsCount() == 0 && bytes <= EXTRA_LEASES_BYTES;
            if (bytes + more > REQUEST_BYTES && !isAlone) {
                return;
            }
            bytes += more;
            request.addReports(report);
            sent++;
        }
    }

    private List<String> running() {
        return attempts.keySet().stream().filter(lease -> leased(lease) != null).toList();
    }

    /** Leases of running attempts, and of ended ones whose final report is not acknowledged. */
    private Collection<String> held() {
        Set<String> held = new LinkedHashSet<>(running());
        reports.stream().filter(Entry::isFinal).map(Entry::lease).forEach(held::add);
        return held;
    }

    /** Leases of running attempts, and of ended ones whose final report was not sent. */
    private Collection<String> liveLeases() {
        Set<String> alive = new LinkedHashSet<>(running());
        reports.stream().skip(sent).filter(Entry::isFinal).map(Entry::lease).forEach(alive::add);
        return alive;
    }

    private int lostLeases() {
        return (int)
                attempts.values().stream().filter(attempt -> attempt.leaseLost).count();
    }
}
