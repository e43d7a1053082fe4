package io.github.jobstream;

import io.github.jobstream.v1.AdminServiceGrpc;
import io.github.jobstream.v1.GetServerInfoRequest;
import io.github.jobstream.v1.GetServerInfoResponse;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Which start of the server it is that takes our jobs. It is asked beside the first submit, and again after a connection
 * was lost: it may have been by a restart.
 */
final class BootId {
    /** Of a job that was not submitted here. */
    static final CompletableFuture<String> UNKNOWN = CompletableFuture.completedFuture("");

    private final AtomicReference<CompletableFuture<String>> known = new AtomicReference<>();

    /** The id, once it is known; empty if it could not be learned. Never delays nor fails anything. */
    CompletableFuture<String> ask(Calls calls) {
        CompletableFuture<String> answer = new CompletableFuture<>();
        CompletableFuture<String> earlier = known.compareAndExchange(null, answer);
        if (earlier != null) {
            return earlier;
        }
        var method = AdminServiceGrpc.getGetServerInfoMethod();
        calls.once(
                        calls.connection().forShortCalls(),
                        method,
                        GetServerInfoRequest.getDefaultInstance(),
                        calls.options().callTimeout)
                .thenApply(GetServerInfoResponse::getBootId)
                .whenComplete((bootId, error) -> {
                    if (error != null) {
                        known.compareAndSet(answer, null);
                    }
                    answer.complete(error == null ? bootId : "");
                });
        return answer;
    }

    void forget() {
        known.set(null);
    }

    /** The same error, or that the job was lost in a restart, if the server that took it was of another start. */
    static JobstreamException explain(
            JobstreamException error, String jobId, CompletableFuture<String> taker, String address) {
        String accepted = taker.getNow("");
        String answering = error.metadata().getOrDefault("boot_id", "");
        boolean isOther = !accepted.isEmpty() && !answering.isEmpty() && !accepted.equals(answering);
        if (!error.reason().equals(Errors.JOB_NOT_FOUND) || !isOther) {
            return error;
        }
        String message = "job " + jobId + " is gone: the server at " + address
                + " was started anew since it took the job, and keeps jobs in memory only: submit it again";
        return new ServerRestartedException(error.facts()
                .withMessage(message)
                .withReason("SERVER_RESTARTED")
                .withCause(error));
    }
}
