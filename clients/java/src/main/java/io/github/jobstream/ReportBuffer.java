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
 * What a worker has to tell its server, through all its connections: reports, numbered and kept until they are
 * acknowledged, and the state of its attempts. All of it is guarded by this object.
 */
final class Ledger {
    /**
     * Most bytes of progress, output and logs that are on their way. More output waits, more logs are dropped and
     * counted. Ends always fit: there is one for each slot.
     */
    private static final int ROOM_BYTES = 8 << 20;
    /** Bytes after which a message takes no further report. A larger report goes alone. */
    private static final int REQUEST_BYTES = 1 << 20;
    /** Leases that a message accepts, and those that its heartbeat names, at most: about 400 KB each. */
    private static final int LEASES_MAX = 10_000;
    /** Bytes of leases that may go with a report that is larger than a message is to be. */
    private static final int LEASES_ASIDE_BYTES = 1 << 10;
    /** Leases that a greeting may name. */
    private static final int LEASES_HELD_MAX = 100_000;

    private final Semaphore room = new Semaphore(ROOM_BYTES);
    /** Not acknowledged, oldest first. */
    private final List<Entry> reports = new ArrayList<>();
    /** Attempts that run, by lease. */
    private final Map<String, Standing> attempts = new LinkedHashMap<>();
    /** Those with progress that has no number yet. */
    private final Set<String> progressed = new LinkedHashSet<>();

    private final Deque<String> accepts = new ArrayDeque<>();
    /** What the heartbeat under way has yet to name. */
    private final Deque<String> beats = new ArrayDeque<>();
    /** Number of the last report. */
    private long numbered;
    /** How many of the reports have gone out on the present stream. */
    private int sent;

    private boolean heartbeatDue;
    private long renewedNanos = System.nanoTime();
    private int slots;
    private int slotsTold;
    private long leaseNanos = Long.MAX_VALUE;
    private int payloadBytesMax = Integer.MAX_VALUE;
    private Runnable wake = () -> {};

    Ledger(int slots) {
        this.slots = slots;
    }

    /** A report on its way. */
    private record Entry(AttemptReport report, int room, boolean isEnd) {
        String lease() {
            return report.getLeaseId();
        }
    }

    /** An attempt that runs. */
    private static final class Standing {
        Progress progress;
        /** Number of its newest progress report, until that is acknowledged: meanwhile newer progress is only kept. */
        long progressOnItsWay;
        /** Log lines that were dropped since the last one that was not. */
        int dropped;
        /** The server does not know it any more: it only keeps its slot taken until it stops. */
        boolean isVoid;
    }

    /** Has this called whenever there is something to send. */
    synchronized void onNews(Runnable wake) {
        this.wake = wake;
    }

    /** Begins an attempt, which accepts it. The caller has it sent. */
    synchronized void begin(String lease) {
        attempts.put(lease, new Standing());
        accepts.add(lease);
    }

    void progress(String lease, Progress progress) {
        synchronized (this) {
            Standing attempt = standing(lease);
            if (attempt == null) {
                return;
            }
            attempt.progress = progress;
            progressed.add(lease);
            if (attempt.progressOnItsWay > 0) {
                return;
            }
        }
        wake();
    }

    /** Adds a log line, if there is room; else a later line tells how many are missing. */
    void log(String lease, Log log) {
        synchronized (this) {
            Standing attempt = standing(lease);
            if (attempt == null) {
                return;
            }
            AttemptReport.Builder report = AttemptReport.newBuilder().setLog(log);
            int bytes = log.getSerializedSize();
            if (!room.tryAcquire(bytes)) {
                attempt.dropped++;
                return;
            }
            noteDropped(lease, attempt);
            push(lease, report, bytes, false);
        }
        wake();
    }

    /**
     * Adds a chunk of output, once there is room.
     *
     * @throws InvalidRequestException if the server would not take it
     * @throws CancellationException if the attempt no longer stands
     */
    void output(String lease, Output output, int size) throws InterruptedException {
        SizeLimit.check("output", size, payloadBytesMax());
        int bytes = Math.min(output.getSerializedSize(), ROOM_BYTES);
        room.acquire(bytes);
        synchronized (this) {
            if (standing(lease) == null) {
                room.release(bytes);
                throw new CancellationException("the attempt no longer stands: stop it and drop its result");
            }
            push(lease, AttemptReport.newBuilder().setOutput(output), bytes, false);
        }
        wake();
    }

    /** Ends an attempt; only the first end counts. */
    void end(String lease, AttemptReport.Builder end) {
        synchronized (this) {
            Standing attempt = attempts.remove(lease);
            progressed.remove(lease);
            if (attempt != null && !attempt.isVoid) {
                pushEnd(lease, attempt, end);
            }
        }
        wake();
    }

    /** Ends an attempt that does not stop: its slot stays taken until it does. */
    void abandon(String lease, AttemptReport.Builder end) {
        synchronized (this) {
            Standing attempt = standing(lease);
            if (attempt == null) {
                return;
            }
            pushEnd(lease, attempt, end);
            progressed.remove(lease);
            attempt.isVoid = true;
        }
        wake();
    }

    /** Has a heartbeat sent. */
    void beat() {
        synchronized (this) {
            heartbeatDue = true;
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
            forgetUntil(upTo);
        }
        wake();
    }

    /** Completes the greeting of a new stream. */
    synchronized Hello greet(Hello hello) {
        sent = 0;
        beats.clear();
        // Attempts that the server turns out not to know any more need their slots until they stop.
        slotsTold = Math.max(0, slots - attempts.size());
        List<String> held = held().stream().limit(LEASES_HELD_MAX).toList();
        return hello.toBuilder().setSlots(slotsTold).addAllHeldLeaseIds(held).build();
    }

    /** Goes on after the server's answer. Answers the attempts that it does not know any more. */
    synchronized List<String> welcome(Welcome welcome) {
        leaseNanos = Waits.nanos(Wire.duration(welcome.getLease()));
        payloadBytesMax = welcome.getPayloadBytesMax();
        Set<String> standing = new HashSet<>(welcome.getStandingLeaseIdsList());
        List<String> lost = new ArrayList<>();
        attempts.forEach((lease, attempt) -> {
            if (!standing.contains(lease) && !attempt.isVoid) {
                attempt.isVoid = true;
                lost.add(lease);
            }
        });
        reports.removeIf(entry -> !standing.contains(entry.lease()) && freed(entry));
        forgetUntil(welcome.getAckedReportSequence());
        progressed.retainAll(standing);
        accepts.clear();
        accepts.addAll(running());
        heartbeatDue = !accepts.isEmpty();
        if (accepts.isEmpty()) {
            renewedNanos = System.nanoTime();
        }
        return lost;
    }

    /** One message of what there is to tell; null if there is nothing. */
    synchronized WorkRequest nextRequest() {
        WorkRequest.Builder request = WorkRequest.newBuilder();
        int free = Math.max(0, slots - voids());
        if (free != slotsTold) {
            slotsTold = free;
            request.setSlots(free);
        }
        addHeartbeat(request);
        if (!beats.isEmpty()) {
            // No report that ends one of them may overtake it.
            return request.build();
        }
        addAccepts(request);
        numberProgress();
        addReports(request);
        WorkRequest built = request.build();
        return built.getSerializedSize() == 0 ? null : built;
    }

    private void addHeartbeat(WorkRequest.Builder request) {
        if (heartbeatDue) {
            heartbeatDue = false;
            renewedNanos = System.nanoTime();
            beats.clear();
            beats.addAll(alive());
        } else if (beats.isEmpty()) {
            return;
        }
        WorkerHeartbeat.Builder heartbeat = request.getHeartbeatBuilder();
        while (!beats.isEmpty() && heartbeat.getLeaseIdsCount() < LEASES_MAX) {
            heartbeat.addLeaseIds(beats.remove());
        }
    }

    private void addAccepts(WorkRequest.Builder request) {
        while (!accepts.isEmpty() && request.getAcceptedLeaseIdsCount() < LEASES_MAX) {
            String lease = accepts.remove();
            // What has ended since is accepted by its report.
            if (standing(lease) != null) {
                request.addAcceptedLeaseIds(lease);
            }
        }
    }

    /** How long the leases last if no heartbeat leaves any more; negative once they ran out. */
    synchronized long fenceLeftNanos() {
        return leaseNanos == Long.MAX_VALUE ? leaseNanos : renewedNanos + leaseNanos - System.nanoTime();
    }

    synchronized int payloadBytesMax() {
        return payloadBytesMax;
    }

    /** Waits for at most this long until every report was acknowledged. */
    synchronized boolean awaitSettled(Duration limit) throws InterruptedException {
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

    private Standing standing(String lease) {
        Standing attempt = attempts.get(lease);
        return attempt == null || attempt.isVoid ? null : attempt;
    }

    private long push(String lease, AttemptReport.Builder report, int bytes, boolean isEnd) {
        report.setLeaseId(lease).setReportSequence(++numbered);
        reports.add(new Entry(report.build(), bytes, isEnd));
        return numbered;
    }

    private void pushEnd(String lease, Standing attempt, AttemptReport.Builder end) {
        if (attempt.progress != null) {
            push(lease, AttemptReport.newBuilder().setProgress(attempt.progress), 0, false);
        }
        noteDropped(lease, attempt);
        push(lease, end, 0, true);
    }

    private void noteDropped(String lease, Standing attempt) {
        if (attempt.dropped > 0) {
            String text = attempt.dropped + " log lines were dropped here: they came faster than they could be sent";
            attempt.dropped = 0;
            Log note = Log.newBuilder()
                    .setText(text)
                    .setLevel(Wire.level(LogLevel.WARN))
                    .setStream(LogStream.LOG_STREAM_LOG)
                    .build();
            push(lease, AttemptReport.newBuilder().setLog(note), 0, false);
        }
    }

    private void forgetUntil(long upTo) {
        int done = 0;
        while (done < reports.size() && reports.get(done).report.getReportSequence() <= upTo) {
            freed(reports.get(done++));
        }
        reports.subList(0, done).clear();
        sent = Math.max(0, sent - done);
        attempts.values().stream()
                .filter(attempt -> attempt.progressOnItsWay <= upTo)
                .forEach(attempt -> attempt.progressOnItsWay = 0);
        if (reports.isEmpty()) {
            notifyAll();
        }
    }

    private boolean freed(Entry entry) {
        room.release(entry.room);
        return true;
    }

    /** Makes reports of the newest progress of each attempt, while there is room. */
    private void numberProgress() {
        progressed.removeIf(lease -> {
            Standing attempt = standing(lease);
            if (attempt == null) {
                return true;
            }
            int bytes = attempt.progress.getSerializedSize();
            if (attempt.progressOnItsWay > 0 || !room.tryAcquire(bytes)) {
                return false;
            }
            AttemptReport.Builder report = AttemptReport.newBuilder().setProgress(attempt.progress);
            attempt.progressOnItsWay = push(lease, report, bytes, false);
            attempt.progress = null;
            return true;
        });
    }

    private void addReports(WorkRequest.Builder request) {
        int bytes = request.buildPartial().getSerializedSize();
        while (sent < reports.size()) {
            AttemptReport report = reports.get(sent).report;
            int more = report.getSerializedSize();
            boolean isAlone = request.getReportsCount() == 0 && bytes <= LEASES_ASIDE_BYTES;
            if (bytes + more > REQUEST_BYTES && !isAlone) {
                return;
            }
            bytes += more;
            request.addReports(report);
            sent++;
        }
    }

    private List<String> running() {
        return attempts.keySet().stream()
                .filter(lease -> standing(lease) != null)
                .toList();
    }

    /** Attempts that run or whose end was not acknowledged. */
    private Collection<String> held() {
        Set<String> held = new LinkedHashSet<>(running());
        reports.stream().filter(Entry::isEnd).map(Entry::lease).forEach(held::add);
        return held;
    }

    /** Attempts that run, or have ended without the server having been told. */
    private Collection<String> alive() {
        Set<String> alive = new LinkedHashSet<>(running());
        reports.stream().skip(sent).filter(Entry::isEnd).map(Entry::lease).forEach(alive::add);
        return alive;
    }

    private int voids() {
        return (int)
                attempts.values().stream().filter(attempt -> attempt.isVoid).count();
    }
}
