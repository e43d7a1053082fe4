"""The calls of an asyncio client on the queues of its server."""

from __future__ import annotations

from ..queues import Queue, queues_request, read_queue
from ..v1 import admin_service_pb2
from .calls import AsyncCalls
from .connection import Link


class AsyncQueueCalls(AsyncCalls):
    """The part of a client that lists, pauses, resumes and purges queues."""

    async def queues(self) -> list[Queue]:
        """Every queue that has jobs or is paused, ordered by name."""
        page = await self._queue_page("")
        queues = [read_queue(queue) for queue in page.queues]
        while page.next_page_token:
            page = await self._queue_page(page.next_page_token)
            queues += [read_queue(queue) for queue in page.queues]
        return queues

    async def _queue_page(self, token: str) -> admin_service_pb2.ListQueuesResponse:
        request = queues_request(token)

        async def send(link: Link, timeout: float) -> admin_service_pb2.ListQueuesResponse:
            return await link.admin.ListQueues(request, timeout=timeout)

        return await self._call(send)

    async def pause_queue(self, name: str) -> Queue:
        """Starts no further attempts of a queue's jobs. Running attempts continue and jobs are still accepted.

        Raises InvalidRequest for an invalid name.
        """
        request = admin_service_pb2.PauseQueueRequest(queue=name)

        async def send(link: Link, timeout: float) -> admin_service_pb2.PauseQueueResponse:
            return await link.admin.PauseQueue(request, timeout=timeout)

        return read_queue((await self._call(send)).queue)

    async def resume_queue(self, name: str) -> Queue:
        """Starts attempts of a paused queue's jobs again. Raises JobstreamError (QUEUE_NOT_FOUND)."""
        request = admin_service_pb2.ResumeQueueRequest(queue=name)

        async def send(link: Link, timeout: float) -> admin_service_pb2.ResumeQueueResponse:
            return await link.admin.ResumeQueue(request, timeout=timeout)

        return read_queue((await self._call(send)).queue)

    async def purge_queue(self, name: str) -> int:
        """Cancels every waiting job of a queue and returns their number. Running jobs continue.

        The call is sent once: after a lost response a second call would cancel jobs that were submitted later. Raises
        JobstreamError (QUEUE_NOT_FOUND).
        """
        request = admin_service_pb2.PurgeQueueRequest(queue=name)

        async def send(link: Link, timeout: float) -> admin_service_pb2.PurgeQueueResponse:
            return await link.admin.PurgeQueue(request, timeout=timeout)

        return (await self._call_once(send)).purged
