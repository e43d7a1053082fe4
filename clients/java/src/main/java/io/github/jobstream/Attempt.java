package io.github.jobstream;

import io.github.jobstream.v1.Assignment;
import io.github.jobstream.v1.AttemptReport;
import io.github.jobstream.v1.Log;
import io.github.jobstream.v1.LogStream;
import io.github.jobstream.v1.Output;
import io.github.jobstream.v1.Progress;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.CancellationException;

/** One attempt at a job: runs the handler on the thread it is given, and tells the ledger what becomes of it. */
final class Attempt implements Runnable, JobContext {
    private static final int UNIT_BYTES_MAX = 64;
    private static final int MESSAGE_BYTES_MAX = 1 << 10;
    private static final int LOG_BYTES_MAX = 16 << 10;

    private final Assignment assignment;
    private final HandlerEntry handler;
    private final Ledger ledger;
    private final Runnable onEnd;
    private final Instant deadline;

    /** Guarded by this object, so that no interrupt ever meets a thread that has gone on to other work. */
    private Thread thread;

    private volatile Stop stop = Stop.NONE;

    Attempt(Assignment assignment, HandlerEntry handler, Ledger ledger, Runnable onEnd) {
        this.assignment = assignment;
        this.handler = handler;
        this.ledger = ledger;
        this.onEnd = onEnd;
        Duration timeLeft = Wire.duration(assignment.getTimeLeft());
        deadline = Instant.now().plusNanos(Waits.nanos(timeLeft));
    }

    /** Why an attempt is to stop; a later one replaces an earlier one. */
    enum Stop {
        NONE,
        /** The job was cancelled. */
        CANCELLED,
        /** The job is run elsewhere, or by nobody: the lease is gone, or the worker gives it back. */
        GIVEN_BACK
    }

    /** Tells the handler to stop, in the way of Java. */
    synchronized void stop(Stop why) {
        stop = why.compareTo(stop) > 0 ? why : stop;
        if (thread != null) {
            thread.interrupt();
        }
    }

    @Override
    public void run() {
        AttemptReport.Builder end;
        try {
            end = runHandler();
        } catch (Throwable broken) {
            // Such as too little memory to tell of the first error.
            end = AttemptEnds.failed(broken);
        }
        ledger.end(assignment.getLeaseId(), end);
        onEnd.run();
    }

    private AttemptReport.Builder runHandler() {
        Object result;
        try {
            if (!begin()) {
                return given();
            }
            try {
                result = handler.run(this);
            } finally {
                finish();
            }
        } catch (Throwable thrown) {
            return stop != Stop.NONE && !(thrown instanceof Error) ? given() : AttemptEnds.failed(thrown);
        }
        return complete(result);
    }

    private AttemptReport.Builder complete(Object result) {
        try {
            return AttemptEnds.complete(handler.encode(result), ledger.payloadBytesMax());
        } catch (InvalidRequestException unwritable) {
            return AttemptEnds.failed(new PermanentException(unwritable.getMessage(), unwritable.getCause()));
        }
    }

    /** The end of a handler that was told to stop, and did. */
    private AttemptReport.Builder given() {
        return stop == Stop.CANCELLED ? AttemptEnds.stopped() : AttemptEnds.release(Duration.ZERO);
    }

    private synchronized boolean begin() {
        thread = Thread.currentThread();
        return stop == Stop.NONE;
    }

    private synchronized void finish() {
        thread = null;
        // The interrupt was meant for the handler alone.
        Thread.interrupted();
    }

    @Override
    public String jobId() {
        return assignment.getJobId();
    }

    @Override
    public int attempt() {
        return assignment.getAttempt();
    }

    @Override
    public String kind() {
        return assignment.getKind();
    }

    @Override
    public String queue() {
        return assignment.getQueue();
    }

    @Override
    public Instant deadline() {
        return deadline;
    }

    @Override
    public Map<String, String> headers() {
        return assignment.getHeadersMap();
    }

    @Override
    public Payload payload() {
        return Payload.of(assignment.getPayload());
    }

    @Override
    public void progress(double fraction, String message) {
        ledger.progress(
                assignment.getLeaseId(),
                Progress.newBuilder()
                        .setFraction(fraction)
                        .setMessage(AttemptEnds.cut(message, MESSAGE_BYTES_MAX))
                        .build());
    }

    @Override
    public void progressOf(double done, double total, String unit) {
        ledger.progress(
                assignment.getLeaseId(),
                Progress.newBuilder()
                        .setDone(done)
                        .setTotal(total)
                        .setUnit(AttemptEnds.cut(unit, UNIT_BYTES_MAX))
                        .build());
    }

    @Override
    public void output(Payload chunk, String channel) {
        Output output = Output.newBuilder()
                .setPayload(chunk.message())
                .setChannel(AttemptEnds.cut(channel, UNIT_BYTES_MAX))
                .build();
        try {
            ledger.output(assignment.getLeaseId(), output, chunk.size());
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            CancellationException cancelled = new CancellationException("interrupted while the output waited for room");
            cancelled.initCause(interrupted);
            throw cancelled;
        }
    }

    @Override
    public void log(String text, LogLevel level) {
        Log log = Log.newBuilder()
                .setText(AttemptEnds.cut(text, LOG_BYTES_MAX))
                .setLevel(Wire.level(level))
                .setStream(LogStream.LOG_STREAM_LOG)
                .build();
        ledger.log(assignment.getLeaseId(), log);
    }

    @Override
    public boolean isCancelled() {
        return stop != Stop.NONE;
    }
}
