package io.github.jobstream;

import io.github.jobstream.v1.AdminServiceGrpc;
import io.github.jobstream.v1.GetServerInfoRequest;
import io.github.jobstream.v1.GetServerInfoResponse;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The boot id of the server, which changes when the server restarts. It is looked up concurrently with the first
 * submit, and again after a connection was lost.
 */
final class BootId {
    /** The boot id of a job that was not submitted by this client. */
    static final CompletableFuture<String> UNKNOWN = CompletableFuture.completedFuture("");

    private final AtomicReference<CompletableFuture<String>> cached = new AtomicReference<>();

    /** Returns a future of the boot id. It completes with an empty string if the lookup fails. */
    CompletableFuture<String> lookUp(Calls calls) {
        CompletableFuture<String> lookup = new CompletableFuture<>();
        CompletableFuture<String> earlier = cached.compareAndExchange(null, lookup);
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
                        cached.compareAndSet(lookup, null);
                    }
                    lookup.complete(error == null ? bootId : "");
                });
        return lookup;
    }

    void invalidate() {
        cached.set(null);
    }

    /** Converts JobNotFoundException if another run of the server had accepted the job. */
    static JobstreamException detectRestart(
            JobstreamException error, String jobId, CompletableFuture<String> acceptedBy, String address) {
        String accepted = acceptedBy.getNow("");
        String current = error.metadata().getOrDefault("boot_id", "");
        boolean isOther = !accepted.isEmpty() && !current.isEmpty() && !accepted.equals(current);
        if (!error.reason().equals(Errors.JOB_NOT_FOUND) || !isOther) {
            return error;
        }
        String message = "job " + jobId + " is lost: the server at " + address
                + " restarted after it accepted the job and holds jobs in memory only: submit it again";
        return new ServerRestartedException(error.details()
                .withMessage(message)
                .withReason("SERVER_RESTARTED")
                .withCause(error));
    }
}
