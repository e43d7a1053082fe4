"""Queues, and their conversion from the wire format."""

from __future__ import annotations

from dataclasses import dataclass

from .times import from_duration
from .v1 import admin_service_pb2

PAGE_SIZE = 1_000
"""Queues fetched in one call."""


@dataclass(frozen=True)
class Queue:
    """A queue and the number of its jobs by state. Finished jobs are counted while they are retained."""

    name: str
    paused: bool
    scheduled: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    oldest_queued_age: float | None
    """How long the oldest QUEUED job has been QUEUED, in seconds. None if there is none."""
    accepted_per_second: float
    """Over the last minute."""
    finished_per_second: float
    """Over the last minute."""
    unserved_kinds: list[str]
    """Kinds with QUEUED jobs that no worker serves."""

    @property
    def waiting(self) -> int:
        """Number of SCHEDULED and QUEUED jobs."""
        return self.scheduled + self.queued


def queues_request(page_token: str) -> admin_service_pb2.ListQueuesRequest:
    return admin_service_pb2.ListQueuesRequest(page_size=PAGE_SIZE, page_token=page_token)


def read_queue(queue: admin_service_pb2.Queue) -> Queue:
    counts = queue.counts
    age = from_duration(queue.oldest_queued_age) if queue.HasField("oldest_queued_age") else None
    return Queue(
        name=queue.queue,
        paused=queue.paused,
        scheduled=counts.scheduled,
        queued=counts.queued,
        running=counts.running,
        succeeded=counts.succeeded,
        failed=counts.failed,
        cancelled=counts.cancelled,
        oldest_queued_age=age,
        accepted_per_second=queue.accepted_per_second,
        finished_per_second=queue.finished_per_second,
        unserved_kinds=list(queue.unserved_kinds),
    )
