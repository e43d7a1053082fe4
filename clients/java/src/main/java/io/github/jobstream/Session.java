package io.github.jobstream;

import io.github.jobstream.v1.Assignment;
import io.github.jobstream.v1.AttemptCancel;
import io.github.jobstream.v1.Drain;
import io.github.jobstream.v1.Hello;
import io.github.jobstream.v1.ReportAck;
import io.github.jobstream.v1.ReportRefusal;
import io.github.jobstream.v1.Welcome;
import io.github.jobstream.v1.WorkResponse;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** One run of a worker on a thread of its own: it stays connected and handles the messages of the server. */
final class Session implements Runnable {
    private static final Duration FIRST_PAUSE = Duration.ofMillis(50);
    private static final Duration LONGEST_PAUSE = Duration.ofSeconds(5);
    /** Time for the server to respond to Hello. */
    private static final Duration WELCOME_TIME_MAX = Duration.ofSeconds(10);

    private static final int MISSED_PINGS_MAX = 3;

    private final Calls calls;
    private final Hello hello;
    private final ReportBuffer reports;
    private final AttemptRunner runner;
    private final Consumer<String> onConnected;
    private final Consumer<Duration> onDrain;
    private final Backoff backoff = new Backoff(FIRST_PAUSE, LONGEST_PAUSE);
    /** Zero once all reports are acknowledged: no connection is needed any more. */
    private final CountDownLatch closed = new CountDownLatch(1);
    /** The running attempts were cancelled because their leases expired, and no heartbeat was sent since. */
    private boolean leasesExpired;

    /** Whether the server has accepted the worker since the last pause. */
    private boolean wasConnected;
    /** Whether the server has accepted the worker on any stream. */
    private boolean wasAccepted;
    /** Whether the last stream was refused for its token. */
    private boolean isRefused;
    /** Whether no try to connect has ended yet. */
    private boolean isFirstTry = true;

    private Duration idleTimeout = WELCOME_TIME_MAX;
    private volatile WorkStream stream;
    private volatile JobstreamException fatalError;

    Session(
            Calls calls,
            Hello hello,
            ReportBuffer reports,
            AttemptRunner runner,
            Consumer<String> onConnected,
            Consumer<Duration> onDrain) {
        this.calls = calls;
        this.hello = hello;
        this.reports = reports;
        this.runner = runner;
        this.onConnected = onConnected;
        this.onDrain = onDrain;
    }

    /** The error that ended the worker; null if there is none. */
    JobstreamException fatalError() {
        return fatalError;
    }

    /** Ends the session after all reports were acknowledged. */
    void finish() {
        closed.countDown();
        WorkStream current = stream;
        if (current != null) {
            current.finish();
        }
    }

    /** Ends the session immediately. */
    void abort() {
        closed.countDown();
        WorkStream current = stream;
        if (current != null) {
            current.close("the worker has ended", false);
        }
    }

    @Override
    public void run() {
        try {
            while (isNeeded()) {
                long beganNanos = System.nanoTime();
                JobstreamException error = runStream();
                if (isPermanent(error)) {
                    fatalError = error;
                    return;
                }
                if (System.nanoTime() - beganNanos > LONGEST_PAUSE.toNanos()) {
                    backoff.reset();
                }
                pause(error);
            }
        } catch (InterruptedException interrupted) {
            // Only the worker interrupts this thread, to end it.
            Thread.currentThread().interrupt();
        } catch (RuntimeException broken) {
            fatalError = new JobstreamException(
                    ErrorDetails.of(Status.Code.INTERNAL, "", "worker " + hello.getName() + " failed: " + broken)
                            .withCause(broken));
        } finally {
            runner.stopAll();
        }
    }

    private boolean isNeeded() {
        if (calls.isClosed()) {
            fatalError = calls.closedError();
            return false;
        }
        return closed.getCount() > 0;
    }

    private void pause(JobstreamException error) throws InterruptedException {
        if (!isNeeded()) {
            return;
        }
        Duration pause = backoff.next(error.retryAfter().orElse(null));
        String what = wasConnected ? " lost its connection and reconnects in " : " cannot connect, tries again in ";
        Worker.log(
                wasConnected || isFirstTry ? Level.WARNING : Level.INFO,
                () -> "worker " + hello.getName() + what + pause.toMillis() + " ms: " + error.getMessage(),
                null);
        wasConnected = false;
        isFirstTry = false;
        long untilNanos = System.nanoTime() + Blocking.nanos(pause);
        while (System.nanoTime() < untilNanos) {
            long leftNanos = Math.min(untilNanos - System.nanoTime(), leaseLeftNanos());
            if (closed.await(Math.max(0, leftNanos), TimeUnit.NANOSECONDS)) {
                return;
            }
            expireLeases();
        }
    }

    /** Runs one stream until it ends. Returns why it ended. */
    private JobstreamException runStream() throws InterruptedException {
        Link link = calls.connection().forLongCall();
        WorkStream opened = WorkStream.open(reports, link, hello);
        stream = opened;
        idleTimeout = WELCOME_TIME_MAX;
        boolean isIdle = false;
        try {
            if (closed.getCount() == 0) {
                return ended("the worker has ended");
            }
            boolean isWelcome = false;
            while (true) {
                ReceiveQueue.Item<WorkResponse> item = next(opened);
                if (item == null) {
                    isIdle = true;
                    return ended("no message from the server in time");
                }
                if (item.error() != null) {
                    return Errors.of(item.error(), calls.address());
                }
                if (item.isEnd()) {
                    return ended("the server ended the stream");
                }
                if (!isWelcome && !item.message().hasWelcome()) {
                    return ended("the first message of the server is not Welcome");
                }
                if (!isWelcome) {
                    isWelcome = true;
                    welcome(item.message().getWelcome());
                    opened.open();
                    notifyConnected(item.message().getWelcome().getWorkerId());
                }
                handle(item.message(), opened);
            }
        } finally {
            stream = null;
            opened.close("the stream has ended", isIdle);
        }
    }

    /** The next item; null after the idle timeout or once the leases have expired. */
    private ReceiveQueue.Item<WorkResponse> next(WorkStream opened) throws InterruptedException {
        long idleAtNanos = System.nanoTime() + Blocking.nanos(idleTimeout);
        while (true) {
            long leftNanos = Math.min(idleAtNanos - System.nanoTime(), leaseLeftNanos());
            ReceiveQueue.Item<WorkResponse> item = opened.next(Duration.ofNanos(Math.max(0, leftNanos)));
            if (item != null) {
                return item;
            }
            if (expireLeases() || System.nanoTime() >= idleAtNanos) {
                return null;
            }
        }
    }

    private long leaseLeftNanos() {
        return leasesExpired ? Long.MAX_VALUE : reports.leaseLeftNanos();
    }

    /**
     * Cancels the running attempts if their leases have expired: the server may have assigned their jobs to other
     * workers.
     */
    private boolean expireLeases() {
        if (leaseLeftNanos() > 0) {
            return false;
        }
        leasesExpired = true;
        runner.stopAll();
        return true;
    }

    private void welcome(Welcome welcome) {
        reports.welcome(welcome).forEach(lease -> runner.stop(lease, Attempt.Stop.RELEASED));
        refuse(welcome.getRefusalsList());
        Set<String> leases = Set.copyOf(welcome.getStandingLeaseIdsList());
        long acknowledged = welcome.getAckedReportSequence();
        reports.settlements().forget(welcome.getUnknownReportSequence(), acknowledged, leases);
        reports.settlements().acknowledge(acknowledged);
        reports.settlements().retain(leases);
        leasesExpired = false;
        wasConnected = true;
        wasAccepted = true;
        isRefused = false;
        idleTimeout = Wire.duration(welcome.getPingInterval()).multipliedBy(MISSED_PINGS_MAX);
    }

    private void notifyConnected(String workerId) {
        Worker.log(Level.INFO, () -> "worker " + hello.getName() + " is connected to " + calls.address(), null);
        try {
            onConnected.accept(workerId);
        } catch (RuntimeException | Error broken) {
            Worker.log(Level.WARNING, () -> "onConnected of worker " + hello.getName() + " failed", broken);
        }
    }

    /** Handles a message in the order of its fields: an assignment and its cancellation may arrive together. */
    private void handle(WorkResponse response, WorkStream opened) {
        for (Assignment assignment : response.getAssignmentsList()) {
            runner.run(assignment);
        }
        for (AttemptCancel cancel : response.getCancelsList()) {
            Attempt.Stop why = cancel.getRevoked() ? Attempt.Stop.RELEASED : Attempt.Stop.CANCELLED;
            runner.stop(cancel.getLeaseId(), why);
        }
        if (response.hasAck()) {
            acknowledge(response.getAck());
        }
        if (response.hasPing()) {
            leasesExpired = false;
            reports.requestHeartbeat();
        }
        if (response.hasDrain()) {
            drain(response.getDrain(), opened);
        }
        opened.wake();
    }

    private void acknowledge(ReportAck ack) {
        refuse(ack.getRefusalsList());
        reports.acknowledge(ack.getReportSequence());
    }

    private void refuse(List<ReportRefusal> refusals) {
        for (ReportRefusal refusal : refusals) {
            JobstreamException error =
                    Errors.of(StatusProto.toStatusRuntimeException(refusal.getError()), calls.address());
            reports.settlements().refuse(refusal.getReportSequence(), error);
            if (refusal.getError().getCode() == Status.Code.FAILED_PRECONDITION.value()) {
                runner.stop(refusal.getLeaseId(), Attempt.Stop.RELEASED);
            } else {
                String message = refusal.getError().getMessage();
                Worker.log(Level.WARNING, () -> "the server rejected a report: " + message, null);
            }
        }
    }

    private void drain(Drain drain, WorkStream opened) {
        Duration timeLeft = Wire.duration(drain.getTimeLeft());
        if (!drain.getServerShutdown()) {
            onDrain.accept(timeLeft);
            return;
        }
        long deadlineNanos = System.nanoTime() + Blocking.nanos(timeLeft);
        // The server is shutting down. The worker reconnects to the next one.
        Drainer drainer = new Drainer(runner, reports, () -> deadlineNanos, () -> stream != opened);
        Worker.thread("drain-stream-" + hello.getName(), true, () -> {
                    drainer.run();
                    opened.finish();
                })
                .start();
    }

    private JobstreamException ended(String why) {
        return Errors.unreachable(calls.address(), why, null);
    }

    /**
     * Whether a retry cannot fix the error. A stream that was refused for its token is opened once more with a new one.
     * The certificate of a server that has accepted the worker may be renewed.
     */
    private boolean isPermanent(JobstreamException error) {
        if (calls.connection().renewsToken() && !isRefused && Errors.isRefusedToken(error)) {
            isRefused = true;
            return false;
        }
        if (!wasAccepted && TlsErrors.isPermanent(error)) {
            return true;
        }
        return switch (error.code()) {
            case INVALID_ARGUMENT, UNIMPLEMENTED, UNAUTHENTICATED, PERMISSION_DENIED -> true;
            default -> false;
        };
    }
}
