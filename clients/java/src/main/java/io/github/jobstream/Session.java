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
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Keeps a worker connected, on a thread of its own, and does as the server says. */
final class Session implements Runnable {
    private static final Duration FIRST_PAUSE = Duration.ofMillis(50);
    private static final Duration LONGEST_PAUSE = Duration.ofSeconds(5);
    /** What a server gets to answer the greeting. */
    private static final Duration WELCOME_TIME_MAX = Duration.ofSeconds(10);

    private static final int SILENT_PINGS_MAX = 3;

    private final Calls calls;
    private final Hello hello;
    private final Ledger ledger;
    private final Desk desk;
    private final Consumer<String> onConnected;
    private final Consumer<Duration> onDrain;
    private final Backoff backoff = new Backoff(FIRST_PAUSE, LONGEST_PAUSE);
    /** Nothing is left to tell: no connection is needed any more. */
    private final CountDownLatch closed = new CountDownLatch(1);
    /** What runs was stopped because its leases ran out, and no heartbeat left since. */
    private boolean isFenced;

    private Duration silenceMax = WELCOME_TIME_MAX;
    private volatile WorkStream stream;
    private volatile JobstreamException refusal;

    Session(
            Calls calls,
            Hello hello,
            Ledger ledger,
            Desk desk,
            Consumer<String> onConnected,
            Consumer<Duration> onDrain) {
        this.calls = calls;
        this.hello = hello;
        this.ledger = ledger;
        this.desk = desk;
        this.onConnected = onConnected;
        this.onDrain = onDrain;
    }

    /** Why the server refused the worker for good; null if it did not. */
    JobstreamException refusal() {
        return refusal;
    }

    /** Ends the session in good order: everything was told. */
    void finish() {
        closed.countDown();
        WorkStream present = stream;
        if (present != null) {
            present.finish();
        }
    }

    /** Ends the session at once. */
    void cut() {
        closed.countDown();
        WorkStream present = stream;
        if (present != null) {
            present.leave("the worker ends", false);
        }
    }

    @Override
    public void run() {
        try {
            while (isNeeded()) {
                long beganNanos = System.nanoTime();
                JobstreamException why = converse();
                if (cannotMend(why)) {
                    refusal = why;
                    return;
                }
                if (System.nanoTime() - beganNanos > LONGEST_PAUSE.toNanos()) {
                    backoff.reset();
                }
                pause(why);
            }
        } catch (InterruptedException interrupted) {
            // Nobody but the worker has this thread: it is to end.
            Thread.currentThread().interrupt();
        } catch (RuntimeException broken) {
            refusal = new JobstreamException(
                    ErrorFacts.of(Status.Code.INTERNAL, "", "worker " + hello.getName() + " broke: " + broken)
                            .withCause(broken));
        } finally {
            desk.stopAll();
        }
    }

    private boolean isNeeded() {
        if (calls.isClosed()) {
            refusal = calls.closedError();
            return false;
        }
        return closed.getCount() > 0;
    }

    private void pause(JobstreamException why) throws InterruptedException {
        if (!isNeeded()) {
            return;
        }
        Duration pause = backoff.next(why.retryAfter().orElse(null));
        Worker.tell(
                Level.INFO,
                () -> "worker " + hello.getName() + " connects again in " + pause.toMillis() + " ms: "
                        + why.getMessage(),
                null);
        long untilNanos = System.nanoTime() + Waits.nanos(pause);
        while (System.nanoTime() < untilNanos) {
            long leftNanos = Math.min(untilNanos - System.nanoTime(), fenceLeftNanos());
            if (closed.await(Math.max(0, leftNanos), TimeUnit.NANOSECONDS)) {
                return;
            }
            fence();
        }
    }

    /** Connects and does as the server says until the stream ends. Answers why it did. */
    private JobstreamException converse() throws InterruptedException {
        Link link = calls.connection().forHeldCall();
        WorkStream opened = WorkStream.open(ledger, link, hello);
        stream = opened;
        silenceMax = WELCOME_TIME_MAX;
        boolean isSilent = false;
        try {
            if (closed.getCount() == 0) {
                return ended("the worker ends");
            }
            boolean isWelcome = false;
            while (true) {
                Inbox.Item<WorkResponse> item = next(opened);
                if (item == null) {
                    isSilent = true;
                    return ended("the server fell silent");
                }
                if (item.error() != null) {
                    return Errors.of(item.error(), calls.address());
                }
                if (item.isEnd()) {
                    return ended("the server ended the stream");
                }
                if (!isWelcome && !item.message().hasWelcome()) {
                    return ended("the server began the stream without a welcome");
                }
                if (!isWelcome) {
                    isWelcome = true;
                    welcome(item.message().getWelcome());
                    opened.welcomed();
                    tellConnected(item.message().getWelcome().getWorkerId());
                }
                handle(item.message(), opened);
            }
        } finally {
            stream = null;
            opened.leave("the worker has left this stream", isSilent);
        }
    }

    /** The next item; null if the server was silent for too long, or the leases ran out meanwhile. */
    private Inbox.Item<WorkResponse> next(WorkStream opened) throws InterruptedException {
        long silentAtNanos = System.nanoTime() + Waits.nanos(silenceMax);
        while (true) {
            long leftNanos = Math.min(silentAtNanos - System.nanoTime(), fenceLeftNanos());
            Inbox.Item<WorkResponse> item = opened.next(Duration.ofNanos(Math.max(0, leftNanos)));
            if (item != null) {
                return item;
            }
            if (fence() || System.nanoTime() >= silentAtNanos) {
                return null;
            }
        }
    }

    private long fenceLeftNanos() {
        return isFenced ? Long.MAX_VALUE : ledger.fenceLeftNanos();
    }

    /** Stops what runs if no heartbeat left for a whole lease: the server may have given the jobs to others. */
    private boolean fence() {
        if (fenceLeftNanos() > 0) {
            return false;
        }
        isFenced = true;
        desk.stopAll();
        return true;
    }

    private void welcome(Welcome welcome) {
        ledger.welcome(welcome).forEach(lease -> desk.stop(lease, Attempt.Stop.GIVEN_BACK));
        isFenced = false;
        silenceMax = Wire.duration(welcome.getPingInterval()).multipliedBy(SILENT_PINGS_MAX);
    }

    private void tellConnected(String workerId) {
        try {
            onConnected.accept(workerId);
        } catch (RuntimeException | Error broken) {
            Worker.tell(Level.WARNING, () -> "onConnected of worker " + hello.getName() + " failed", broken);
        }
    }

    /** In the order of the fields: an assignment and its cancel may come together. */
    private void handle(WorkResponse response, WorkStream opened) {
        for (Assignment assignment : response.getAssignmentsList()) {
            desk.run(assignment);
        }
        for (AttemptCancel cancel : response.getCancelsList()) {
            Attempt.Stop why = cancel.getRevoked() ? Attempt.Stop.GIVEN_BACK : Attempt.Stop.CANCELLED;
            desk.stop(cancel.getLeaseId(), why);
        }
        if (response.hasAck()) {
            acknowledge(response.getAck());
        }
        if (response.hasPing()) {
            isFenced = false;
            ledger.beat();
        }
        if (response.hasDrain()) {
            drain(response.getDrain(), opened);
        }
        opened.wake();
    }

    private void acknowledge(ReportAck ack) {
        for (ReportRefusal refused : ack.getRefusalsList()) {
            if (refused.getError().getCode() == Status.Code.FAILED_PRECONDITION.value()) {
                desk.stop(refused.getLeaseId(), Attempt.Stop.GIVEN_BACK);
            } else {
                String message = refused.getError().getMessage();
                Worker.tell(Level.WARNING, () -> "the server refused a report: " + message, null);
            }
        }
        ledger.acknowledge(ack.getReportSequence());
    }

    private void drain(Drain drain, WorkStream opened) {
        Duration timeLeft = Wire.duration(drain.getTimeLeft());
        if (!drain.getServerShutdown()) {
            onDrain.accept(timeLeft);
            return;
        }
        long deadlineNanos = System.nanoTime() + Waits.nanos(timeLeft);
        // The server goes away; this worker goes on with the next one.
        WindUp windUp = new WindUp(desk, ledger, () -> deadlineNanos, () -> stream != opened);
        Worker.thread("leave-" + hello.getName(), true, () -> {
                    windUp.run();
                    opened.finish();
                })
                .start();
    }

    private JobstreamException ended(String why) {
        return Errors.unreachable(calls.address(), why, null);
    }

    /** Whether the server would say the same again. */
    private static boolean cannotMend(JobstreamException why) {
        return switch (why.code()) {
            case INVALID_ARGUMENT, UNIMPLEMENTED, UNAUTHENTICATED, PERMISSION_DENIED -> true;
            default -> false;
        };
    }
}
