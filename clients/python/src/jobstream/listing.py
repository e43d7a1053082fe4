"""Filters of job listings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from typing_extensions import TypedDict

from .errors import InvalidRequest
from .times import to_timestamp
from .v1 import job_pb2, job_service_pb2

PAGE_SIZE = 200
"""Jobs fetched in one call."""
STATES = ("SCHEDULED", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED")


class JobFilter(TypedDict, total=False):
    """Matches the jobs that satisfy all conditions. An empty filter matches every job."""

    states: str | Iterable[str]
    """The job is in one of these states: SCHEDULED, QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED."""
    kind: str
    queue: str
    labels: Mapping[str, str]
    """The job has all of these labels."""
    created_from: datetime
    """The job was accepted at or after this time, which has a time zone."""
    created_before: datetime
    """The job was accepted before this time, which has a time zone."""


def first_page(filter: JobFilter) -> job_service_pb2.ListJobsRequest | None:
    """The request of the first page. None if no job can match. Raises InvalidRequest for an unknown state."""
    states = read_states(filter.get("states", STATES))
    if not states:
        return None
    request = job_service_pb2.ListJobsRequest(
        states=states,
        kind=filter.get("kind", ""),
        queue=filter.get("queue", ""),
        labels=filter.get("labels"),
        page_size=PAGE_SIZE,
    )
    if "created_from" in filter:
        request.create_time_from.CopyFrom(to_timestamp(filter["created_from"]))
    if "created_before" in filter:
        request.create_time_before.CopyFrom(to_timestamp(filter["created_before"]))
    return request


def next_page(
    request: job_service_pb2.ListJobsRequest, page: job_service_pb2.ListJobsResponse
) -> job_service_pb2.ListJobsRequest | None:
    """The request of the page after this one. None after the last."""
    if not page.next_page_token:
        return None
    request.page_token = page.next_page_token
    return request


def read_states(states: str | Iterable[str]) -> list[job_pb2.JobState.ValueType]:
    names = [states] if isinstance(states, str) else list(states)
    if unknown := [name for name in names if name not in STATES]:
        raise InvalidRequest(f"{unknown[0]!r} is not a state: use {', '.join(STATES)}")
    return [job_pb2.JobState.Value(f"JOB_STATE_{name}") for name in names]
