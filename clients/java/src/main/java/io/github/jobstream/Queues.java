package io.github.jobstream;

import io.github.jobstream.v1.AdminServiceGrpc;
import io.github.jobstream.v1.ListQueuesRequest;
import io.github.jobstream.v1.ListQueuesResponse;
import io.github.jobstream.v1.PauseQueueRequest;
import io.github.jobstream.v1.PurgeQueueRequest;
import io.github.jobstream.v1.ResumeQueueRequest;
import java.util.ArrayList;
import java.util.List;

/** The calls about queues. */
final class Queues {
    private static final int PAGE_QUEUES = 1_000;

    private final Calls calls;

    Queues(Calls calls) {
        this.calls = calls;
    }

    List<QueueView> list() {
        List<QueueView> queues = new ArrayList<>();
        new Pages<>(this::page).forEachRemaining(queues::add);
        return queues;
    }

    QueueView pause(String name) {
        var request = PauseQueueRequest.newBuilder().setQueue(name).build();
        return new QueueView(Blocking.await(calls.call(AdminServiceGrpc.getPauseQueueMethod(), request))
                .getQueue());
    }

    QueueView resume(String name) {
        var request = ResumeQueueRequest.newBuilder().setQueue(name).build();
        return new QueueView(Blocking.await(calls.call(AdminServiceGrpc.getResumeQueueMethod(), request))
                .getQueue());
    }

    /** Sent once: after a lost response, a second call would cancel jobs that were submitted since the first. */
    int purge(String name) {
        var request = PurgeQueueRequest.newBuilder().setQueue(name).build();
        Link link = calls.connection().forShortCalls();
        var response = calls.once(link, AdminServiceGrpc.getPurgeQueueMethod(), request, calls.options().callTimeout);
        return Blocking.await(response).getPurged();
    }

    private Pages.Page<QueueView> page(String token) {
        var request = ListQueuesRequest.newBuilder()
                .setPageSize(PAGE_QUEUES)
                .setPageToken(token)
                .build();
        ListQueuesResponse response = Blocking.await(calls.call(AdminServiceGrpc.getListQueuesMethod(), request));
        return new Pages.Page<>(
                response.getQueuesList().stream().map(QueueView::new).toList(), response.getNextPageToken());
    }
}
