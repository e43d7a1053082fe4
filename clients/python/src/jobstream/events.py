"""The items of a watch, and the cursor that orders them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Union

from .outcome import Failure, is_final, read_failure, short_name, state_name, wait_reason
from .payload import Payload
from .times import from_timestamp, to_duration
from .v1 import job_pb2, job_service_pb2


@dataclass(frozen=True)
class Event:
    """The fields of every event."""

    sequence: int
    """Sequence number of the event in its job, from 1, without gaps."""
    time: datetime
    attempt: int
    """The attempt that produced the event; 0 before the first attempt."""


@dataclass(frozen=True)
class StateChange(Event):
    """The job changed its state, or a cancellation was requested."""

    state: str
    """SCHEDULED, QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED."""
    wait_reason: str | None
    """Why a waiting job is not running, such as NO_WORKER or BACK_OFF."""
    failure: Failure | None
    """The failure of the attempt that ended, also of the last attempt. None if it did not fail."""
    cancel_requested: bool

    @property
    def is_final(self) -> bool:
        """Whether the job ended. No event follows."""
        return is_final(self.state)


@dataclass(frozen=True)
class Progress(Event):
    """Progress of the attempt. The server retains only the newest."""

    fraction: float | None
    """Completed fraction, 0 to 1."""
    done: float | None
    total: float | None
    unit: str
    message: str


@dataclass(frozen=True)
class Output(Event):
    """A chunk of output. A RUNNING event of a later attempt invalidates the output of earlier attempts."""

    payload: Payload
    channel: str


@dataclass(frozen=True)
class Log(Event):
    """A log line of the handler."""

    level: str
    """debug, info, warn, error, or empty."""
    text: str
    stream: str
    """stdout or stderr for a program, log for a handler."""


@dataclass(frozen=True)
class Gap:
    """Events that are no longer retained, from sequence `first` to `last`."""

    first: int
    last: int


Message = Union[job_service_pb2.WatchResultResponse, job_service_pb2.RunResponse]
"""A message of a watch stream or a run stream."""

WatchItem = Union[StateChange, Progress, Output, Log, Gap]


class Cursor:
    """The position of a watch. It outlives the streams of the watch."""

    def __init__(self, job_id: str, after_sequence: int, heartbeat: float) -> None:
        self.job_id, self.last, self.heartbeat = job_id, after_sequence, heartbeat
        self.types: list[job_service_pb2.EventType.ValueType] = []
        """Event types to request; empty for all."""
        self.is_over = False
        self.outcome: job_pb2.Outcome | None = None
        """The outcome of the job, once its final event was received."""

    def request(self) -> job_service_pb2.WatchResultRequest:
        """The request that resumes after the last received sequence."""
        return job_service_pb2.WatchResultRequest(
            job_id=self.job_id, after_sequence=self.last, types=self.types, heartbeat=to_duration(self.heartbeat)
        )

    def advance(self, message: Message) -> WatchItem | None:
        """Advances past a message. Returns its event or gap, or None if it has none or was received before."""
        if message.HasField("gap") and message.gap.last > self.last:
            first = max(message.gap.first, self.last + 1)
            self.last = message.gap.last
            return Gap(first, message.gap.last)
        if message.HasField("event") and message.event.sequence > self.last:
            self.last = message.event.sequence
            item = read_event(message.event)
            self.is_over = isinstance(item, StateChange) and item.is_final
            if self.is_over:
                self.outcome = message.event.state_change.outcome
            return item
        return None


def read_event(event: job_pb2.JobEvent) -> StateChange | Progress | Output | Log | None:
    """Decodes an event; None if this client does not know its type."""
    common = (event.sequence, from_timestamp(event.time), event.attempt)
    match event.WhichOneof("event"):
        case "state_change":
            return read_state_change(common, event.state_change)
        case "progress":
            return read_progress(common, event.progress)
        case "output":
            return Output(*common, Payload.from_proto(event.output.payload), event.output.channel)
        case "log":
            level = short_name(job_pb2.LogLevel.Name, event.log.level, "LOG_LEVEL_").lower()
            stream = short_name(job_pb2.LogStream.Name, event.log.stream, "LOG_STREAM_").lower()
            return Log(*common, level.replace("unspecified", ""), event.log.text, stream.replace("unspecified", ""))
        case _:
            return None


def read_state_change(common: tuple[int, datetime, int], change: job_pb2.StateChange) -> StateChange:
    failure = None
    if change.HasField("failure"):
        failure = read_failure(change.failure)
    elif change.outcome.HasField("failure"):
        failure = read_failure(change.outcome.failure)
    reason = wait_reason(change.wait_reason)
    return StateChange(*common, state_name(change.state), reason, failure, change.cancel_requested)


def read_progress(common: tuple[int, datetime, int], progress: job_pb2.Progress) -> Progress:
    return Progress(
        *common,
        fraction=progress.fraction if progress.HasField("fraction") else None,
        done=progress.done if progress.HasField("done") else None,
        total=progress.total if progress.HasField("total") else None,
        unit=progress.unit,
        message=progress.message,
    )
