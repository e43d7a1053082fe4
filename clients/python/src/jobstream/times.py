"""Conversion of times and durations to and from protobuf."""

from __future__ import annotations

from datetime import datetime, timezone

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from .options import Span, seconds


def to_duration(span: Span) -> Duration:
    nanos = round(seconds(span) * 1_000_000_000)
    # Seconds and nanos have the same sign.
    whole, rest = divmod(abs(nanos), 1_000_000_000)
    sign = -1 if nanos < 0 else 1
    return Duration(seconds=sign * whole, nanos=sign * rest)


def from_duration(duration: Duration) -> float:
    """In seconds."""
    return duration.seconds + duration.nanos / 1e9


def to_timestamp(time: datetime) -> Timestamp:
    if time.tzinfo is None:
        raise ValueError(f"the time {time} has no time zone: use one such as datetime.now(timezone.utc)")
    timestamp = Timestamp()
    timestamp.FromDatetime(time.astimezone(timezone.utc))
    return timestamp


def from_timestamp(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=timezone.utc)
