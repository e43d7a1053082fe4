package io.github.jobstream;

import io.github.jobstream.v1.JobServiceGrpc;
import io.github.jobstream.v1.ListJobsRequest;
import io.github.jobstream.v1.ListJobsResponse;
import java.util.Iterator;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The jobs that match a filter, newest first, without payloads. Pages are requested while the jobs are read. Each
 * iterator and each stream starts with the newest job. Reading throws the exceptions of a call.
 */
public final class Jobs implements Iterable<JobView> {
    private static final int PAGE_JOBS = 200;

    private final Calls calls;
    private final ListJobsRequest first;

    Jobs(Calls calls, JobFilter filter) {
        this.calls = calls;
        first = filter.request().toBuilder().setPageSize(PAGE_JOBS).build();
    }

    @Override
    public Iterator<JobView> iterator() {
        return new Pages<>(this::page);
    }

    /** The jobs as a stream. */
    public Stream<JobView> stream() {
        return StreamSupport.stream(spliterator(), false);
    }

    private Pages.Page<JobView> page(String token) {
        ListJobsRequest request = first.toBuilder().setPageToken(token).build();
        ListJobsResponse response = Blocking.await(calls.call(JobServiceGrpc.getListJobsMethod(), request));
        return new Pages.Page<>(
                response.getJobsList().stream().map(JobView::new).toList(), response.getNextPageToken());
    }
}
