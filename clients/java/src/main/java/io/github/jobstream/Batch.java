package io.github.jobstream;

import io.github.jobstream.v1.BatchSubmitRequest;
import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.JobSpec;
import io.github.jobstream.v1.SubmitResponse;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * Submits many jobs in few calls, one call after the other. Results are in the order of the jobs.
 *
 * @param <T> type of the jobs' results
 */
final class Batch<T> {
    /** Most jobs of one call; the server's limit. */
    private static final int CALL_JOBS_MAX = 1_000;
    /** Bytes of jobs after which a call is sent. One more job of the largest size still fits the 4 MiB that servers read. */
    private static final int CALL_BYTES_FULL = 2 << 20;

    private final Calls calls;
    private final Codec codec;
    private final SubmitChain interceptors;
    /** Creates the handle of an accepted job. */
    private final Function<SubmitResponse, Job<T>> accepted;

    private final List<SubmitResult<T>> results = new ArrayList<>();
    private final BatchSubmitRequest.Builder request = BatchSubmitRequest.newBuilder();
    /** The index in the results of each job of the request. */
    private final List<Integer> indexes = new ArrayList<>();

    private int bytes;
    /** The error of a call; it ends the batch. */
    private JobstreamException callError;

    Batch(Calls calls, Codec codec, SubmitChain interceptors, Function<SubmitResponse, Job<T>> accepted) {
        this.calls = calls;
        this.codec = codec;
        this.interceptors = interceptors;
        this.accepted = accepted;
    }

    List<SubmitResult<T>> submit(List<JobRequest> jobs) {
        jobs.forEach(this::add);
        send();
        return List.copyOf(results);
    }

    private void add(JobRequest job) {
        try {
            int jobs = request.getJobsCount();
            Submitted submitted = interceptors.submit(job.spec(codec), this::add);
            if (request.getJobsCount() > jobs) {
                indexes.add(results.size());
                results.add(null);
            } else {
                // An interceptor that did not call `next` has returned the id of another job.
                SubmitResponse other =
                        SubmitResponse.newBuilder().setJobId(submitted.jobId()).build();
                results.add(SubmitResult.accepted(accepted.apply(other)));
            }
        } catch (JobstreamException refused) {
            results.add(SubmitResult.rejected(refused));
        }
        if (request.getJobsCount() == CALL_JOBS_MAX || bytes >= CALL_BYTES_FULL) {
            send();
        }
    }

    private Submitted add(JobSpec spec) {
        request.addJobs(spec);
        bytes += spec.getSerializedSize();
        return Submitted.of(spec.getJobId());
    }

    private void send() {
        if (!indexes.isEmpty()) {
            List<SubmitResult<T>> some = callError == null ? call() : allRejected();
            for (int i = 0; i < indexes.size(); i++) {
                results.set(indexes.get(i), some.get(i));
            }
        }
        request.clear();
        indexes.clear();
        bytes = 0;
    }

    private List<SubmitResult<T>> call() {
        try {
            var answers = Blocking.await(calls.call(JobServiceGrpc.getBatchSubmitMethod(), request.build()))
                    .getResultsList();
            if (answers.size() == indexes.size()) {
                return answers.stream().map(this::read).toList();
            }
            callError = unreadable();
        } catch (WaitInterruptedException interrupted) {
            throw interrupted;
        } catch (JobstreamException error) {
            callError = error;
        }
        return allRejected();
    }

    private List<SubmitResult<T>> allRejected() {
        return indexes.stream()
                .map(index -> SubmitResult.<T>rejected(callError))
                .toList();
    }

    private SubmitResult<T> read(io.github.jobstream.v1.SubmitResult answer) {
        return switch (answer.getResultCase()) {
            case SUBMITTED -> SubmitResult.accepted(accepted.apply(answer.getSubmitted()));
            case ERROR ->
                SubmitResult.rejected(
                        Errors.of(StatusProto.toStatusRuntimeException(answer.getError()), calls.address()));
            case RESULT_NOT_SET -> SubmitResult.rejected(unreadable());
        };
    }

    private JobstreamException unreadable() {
        return new JobstreamException(ErrorDetails.of(
                Status.Code.INTERNAL,
                "",
                "the response of " + calls.address()
                        + " to a batch cannot be read: use a client as new as the server"));
    }
}
