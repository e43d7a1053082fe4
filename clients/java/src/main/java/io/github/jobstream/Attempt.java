package io.github.jobstream;

import io.github.jobstream.v1.Assignment;
import io.github.jobstream.v1.AttemptReport;
import io.github.jobstream.v1.Log;
import io.github.jobstream.v1.LogStream;
import io.github.jobstream.v1.Output;
import io.github.jobstream.v1.Progress;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.CancellationException;

/** One attempt of a job. Runs the handler and records the final report. */
final class Attempt implements Runnable, JobContext {
    private static final int UNIT_BYTES_MAX = 64;
    private static final int MESSAGE_BYTES_MAX = 1 << 10;
    private static final int LOG_BYTES_MAX = 16 << 10;

    private final Assignment assignment;
    private final HandlerEntry handler;
    private final ReportBuffer reports;
    private final Runnable onEnd;
    private final Instant deadline;

    /** Guarded by this object, so that an interrupt never reaches a thread that runs another task. */
    private Thread thread;

    private volatile Stop stop = Stop.NONE;

    Attempt(Assignment assignment, HandlerEntry handler, ReportBuffer reports, Runnable onEnd) {
        this.assignment = assignment;
        this.handler = handler;
        this.reports = reports;
        this.onEnd = onEnd;
        Duration timeLeft = Wire.duration(assignment.getTimeLeft());
        deadline = Instant.now().plusNanos(Blocking.nanos(timeLeft));
    }

    /** Why an attempt must stop. A later reason replaces an earlier one. */
    enum Stop {
        NONE,
        /** The job was cancelled. */
        CANCELLED,
        /** The lease was lost, or the worker releases the attempt. */
        RELEASED
    }

    /** Requests the handler to stop by interrupting its thread. */
    synchronized void stop(Stop why) {
        stop = why.compareTo(stop) > 0 ? why : stop;
        if (thread != null) {
            thread.interrupt();
        }
    }

    @Override
    public void run() {
        AttemptReport.Builder report;
        try {
            report = runHandler();
        } catch (Throwable error) {
            // For example, out of memory while the first error was reported.
            report = failed(error);
        }
        reports.end(assignment.getLeaseId(), report);
        onEnd.run();
    }

    private AttemptReport.Builder runHandler() {
        Object result;
        try {
            if (!begin()) {
                return stopReport();
            }
            try {
                result = handler.run(this);
            } finally {
                finish();
            }
        } catch (Throwable thrown) {
            return stop != Stop.NONE && !(thrown instanceof Error) ? stopReport() : failed(thrown);
        }
        return complete(result);
    }

    private AttemptReport.Builder complete(Object result) {
        try {
            return FinalReports.complete(handler.encode(result), reports.payloadBytesMax());
        } catch (InvalidRequestException unwritable) {
            return failed(new PermanentException(unwritable.getMessage(), unwritable.getCause()));
        }
    }

    /** Logs an exception of the handler. Returns the final report. */
    private AttemptReport.Builder failed(Throwable thrown) {
        Worker.log(
                Level.WARNING,
                () -> "attempt " + attempt() + " of job " + jobId() + " (kind " + kind() + ") failed: "
                        + FinalReports.logLine(thrown),
                null);
        return FinalReports.failed(thrown);
    }

    /** The final report of a handler that stopped on request. */
    private AttemptReport.Builder stopReport() {
        return stop == Stop.CANCELLED ? FinalReports.stopped() : FinalReports.release(Duration.ZERO);
    }

    private synchronized boolean begin() {
        thread = Thread.currentThread();
        return stop == Stop.NONE;
    }

    private synchronized void finish() {
        thread = null;
        // Clears an interrupt that was meant for the handler.
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
        reports.progress(
                assignment.getLeaseId(),
                Progress.newBuilder()
                        .setFraction(fraction)
                        .setMessage(FinalReports.truncate(message, MESSAGE_BYTES_MAX))
                        .build());
    }

    @Override
    public void progressOf(double done, double total, String unit) {
        Progress.Builder progress = Progress.newBuilder()
                .setDone(done)
                .setTotal(total)
                .setUnit(FinalReports.truncate(unit, UNIT_BYTES_MAX));
        JobEvent.Progress.fractionOf(done, total).ifPresent(progress::setFraction);
        reports.progress(assignment.getLeaseId(), progress.build());
    }

    @Override
    public void output(Payload chunk, String channel) {
        Output output = Output.newBuilder()
                .setPayload(chunk.message())
                .setChannel(FinalReports.truncate(channel, UNIT_BYTES_MAX))
                .build();
        try {
            reports.output(assignment.getLeaseId(), output, chunk.size());
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            CancellationException cancelled =
                    new CancellationException("interrupted while the output waited for buffer space");
            cancelled.initCause(interrupted);
            throw cancelled;
        }
    }

    @Override
    public void log(String text, LogLevel level) {
        Log log = Log.newBuilder()
                .setText(FinalReports.truncate(text, LOG_BYTES_MAX))
                .setLevel(Wire.level(level))
                .setStream(LogStream.LOG_STREAM_LOG)
                .build();
        reports.log(assignment.getLeaseId(), log);
    }

    @Override
    public boolean isCancelled() {
        return stop != Stop.NONE;
    }
}
