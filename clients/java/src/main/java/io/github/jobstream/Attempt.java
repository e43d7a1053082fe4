package io.github.jobstream;

import io.github.jobstream.v1.Assignment;
import io.github.jobstream.v1.AttemptReport;
import io.github.jobstream.v1.Log;
import io.github.jobstream.v1.LogStream;
import io.github.jobstream.v1.Output;
import io.github.jobstream.v1.Progress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;

/** One attempt of a job. Runs the handler and records the final report. */
final class Attempt implements Runnable, JobContext {
    private static final int UNIT_BYTES_MAX = 64;
    private static final int MESSAGE_BYTES_MAX = 1 << 10;
    private static final int LOG_BYTES_MAX = 16 << 10;

    private final Assignment assignment;
    private final HandlerEntry handler;
    private final List<HandlerInterceptor> interceptors;
    private final ReportBuffer reports;
    private final FailureLog failures;
    private final Runnable onEnd;
    private final Instant deadline;

    /** Guarded by this object, so that an interrupt never reaches a thread that runs another task. */
    private Thread thread;

    /** The callbacks of {@link #onSettled}. Guarded by this object; null once the handler has returned. */
    private List<Consumer<Optional<JobstreamException>>> callbacks = List.of();

    private volatile Stop stop = Stop.NONE;
    private volatile Payload payload;

    Attempt(
            Assignment assignment,
            HandlerEntry handler,
            List<HandlerInterceptor> interceptors,
            ReportBuffer reports,
            FailureLog failures,
            Runnable onEnd) {
        this.assignment = assignment;
        this.handler = handler;
        this.interceptors = interceptors;
        payload = Payload.of(assignment.getPayload());
        this.reports = reports;
        this.failures = failures;
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
        reports.end(assignment.getLeaseId(), report, settlement());
        onEnd.run();
    }

    private AttemptReport.Builder runHandler() {
        Payload result;
        try {
            if (!begin()) {
                return stopReport();
            }
            try {
                result = within(0).run(payload);
            } finally {
                finish();
            }
        } catch (Throwable thrown) {
            return stop != Stop.NONE && !(thrown instanceof Error) ? stopReport() : failed(thrown);
        }
        return FinalReports.complete(result, reports.payloadBytesMax());
    }

    /** The handler within the interceptors from this one on. The first is the outermost. */
    private HandlerInterceptor.Next within(int first) {
        return input -> {
            payload = Objects.requireNonNull(input, "an interceptor passed null to next.run");
            if (first == interceptors.size()) {
                return handler.run(this);
            }
            Payload result = interceptors.get(first).intercept(this, within(first + 1));
            return Objects.requireNonNull(result, "an interceptor returned null: return what next.run returns");
        };
    }

    /** Logs an exception of the handler. Returns the final report. */
    private AttemptReport.Builder failed(Throwable thrown) {
        failures.attemptFailed(this, thrown);
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

    /** The callbacks of the attempt. Later ones are not accepted. */
    private synchronized Settlement settlement() {
        List<Consumer<Optional<JobstreamException>>> registered = callbacks;
        callbacks = null;
        return registered.isEmpty() ? Settlement.NONE : new Settlement(this, registered);
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
        return payload;
    }

    @Override
    public Map<String, String> labels() {
        return assignment.getLabelsMap();
    }

    @Override
    public Optional<TraceContext> traceContext() {
        return TraceContext.read(assignment.getTraceContext());
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
    public synchronized void onSettled(Consumer<Optional<JobstreamException>> callback) {
        Objects.requireNonNull(callback, "callback");
        if (callbacks == null) {
            return;
        }
        List<Consumer<Optional<JobstreamException>>> more = new ArrayList<>(callbacks);
        more.add(callback);
        callbacks = more;
    }

    @Override
    public boolean isCancelled() {
        return stop != Stop.NONE;
    }
}
