"""The calls of a blocking client on the queues of its server."""

from __future__ import annotations

from .calls import Calls
from .queues import Queue, queues_request, read_queue
from .v1 import admin_service_pb2


class QueueCalls(Calls):
    """The part of a client that lists, pauses, resumes and purges queues."""

    def queues(self) -> list[Queue]:
        """Every queue that has jobs or is paused, ordered by name."""
        page = self._queue_page("")
        queues = [read_queue(queue) for queue in page.queues]
        while page.next_page_token:
            page = self._queue_page(page.next_page_token)
            queues += [read_queue(queue) for queue in page.queues]
        return queues

    def _queue_page(self, token: str) -> admin_service_pb2.ListQueuesResponse:
        request = queues_request(token)
        return self._call(lambda link, timeout: link.admin.ListQueues(request, timeout=timeout))

    def pause_queue(self, name: str) -> Queue:
        """Starts no further attempts of a queue's jobs. Running attempts continue and jobs are still accepted.

        Raises InvalidRequest for an invalid name.
        """
        request = admin_service_pb2.PauseQueueRequest(queue=name)
        return read_queue(self._call(lambda link, timeout: link.admin.PauseQueue(request, timeout=timeout)).queue)

    def resume_queue(self, name: str) -> Queue:
        """Starts attempts of a paused queue's jobs again. Raises JobstreamError (QUEUE_NOT_FOUND)."""
        request = admin_service_pb2.ResumeQueueRequest(queue=name)
        return read_queue(self._call(lambda link, timeout: link.admin.ResumeQueue(request, timeout=timeout)).queue)

    def purge_queue(self, name: str) -> int:
        """Cancels every waiting job of a queue and returns their number. Running jobs continue.

        The call is sent once: after a lost response a second call would cancel jobs that were submitted later. Raises
        JobstreamError (QUEUE_NOT_FOUND).
        """
        request = admin_service_pb2.PurgeQueueRequest(queue=name)
        return self._call_once(lambda link, timeout: link.admin.PurgeQueue(request, timeout=timeout)).purged
