"""The items of a feed of all jobs, and the request that resumes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Union

from typing_extensions import TypedDict

from .events import StateChange, read_event
from .listing import STATES, read_states
from .times import to_duration
from .v1 import job_service_pb2


class ChangeFilter(TypedDict, total=False):
    """Matches the changes that satisfy all conditions. An empty filter matches every change."""

    states: str | Iterable[str]
    """The change is to one of these states: SCHEDULED, QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED."""
    kind: str
    queue: str
    labels: Mapping[str, str]
    """The job has all of these labels."""


@dataclass(frozen=True)
class JobChange:
    """A job changed its state."""

    job_id: str
    queue: str
    kind: str
    labels: Mapping[str, str]
    owner: str | None
    """The principal that submitted the job. None if its caller was anonymous."""
    event: StateChange
    """The change. It has no result and no failure details: `Client.job(job_id).result()` has them."""


@dataclass(frozen=True)
class FeedGap:
    """Changes that the server does not retain."""

    missed: int
    """The number of changes of all jobs, before the filter. 0 if it is not known."""


FeedItem = Union[JobChange, FeedGap]


def first_request(filter: ChangeFilter, after_cursor: str, heartbeat: float) -> job_service_pb2.WatchJobsRequest | None:
    """The request of the first stream. None if no change can match. Raises InvalidRequest for an unknown state."""
    states = read_states(filter.get("states", STATES))
    if not states:
        return None
    return job_service_pb2.WatchJobsRequest(
        states=states,
        kind=filter.get("kind", ""),
        queue=filter.get("queue", ""),
        labels=filter.get("labels"),
        after_cursor=after_cursor,
        heartbeat=to_duration(heartbeat),
    )


def read_item(message: job_service_pb2.WatchJobsResponse) -> FeedItem | None:
    """Decodes a message; None for a heartbeat, and if this client does not know its type."""
    if message.HasField("gap"):
        return FeedGap(message.gap.missed)
    if not message.HasField("change"):
        return None
    change = message.change
    event = read_event(change.event)
    if not isinstance(event, StateChange):
        return None
    return JobChange(change.job_id, change.queue, change.kind, dict(change.labels), change.owner or None, event)
