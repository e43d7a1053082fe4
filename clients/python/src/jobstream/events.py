"""What a watch tells, and which of it is new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Union

from .outcome import Failure, is_final, read_failure, short_name, state_name
from .payload import Payload
from .times import from_timestamp, to_duration
from .v1 import job_pb2, job_service_pb2


@dataclass(frozen=True)
class Event:
    """What all events have."""

    sequence: int
    """Number of the event in its job, from 1, without holes."""
    time: datetime
    attempt: int
    """The attempt it belongs to; 0 before the first."""


@dataclass(frozen=True)
class StateChange(Event):
    """The job moved to another state, or a cancel was requested."""

    state: str
    """SCHEDULED, QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED."""
    failure: Failure | None
    """Why the attempt just ended failed, if it did; also of the last one."""
    cancel_requested: bool

    @property
    def is_final(self) -> bool:
        """Whether the job ended: nothing comes after it."""
        return is_final(self.state)


@dataclass(frozen=True)
class Progress(Event):
    """How far the attempt is. Only the newest is kept."""

    fraction: float | None
    """Share done, 0 to 1."""
    done: float | None
    total: float | None
    unit: str
    message: str


@dataclass(frozen=True)
class Output(Event):
    """A chunk of output. After a RUNNING event of a later attempt, those of earlier attempts are void."""

    payload: Payload
    channel: str


@dataclass(frozen=True)
class Log(Event):
    """A line the handler wrote."""

    level: str
    """debug, info, warn, error, or empty."""
    text: str
    stream: str
    """stdout or stderr of a command, or log."""


@dataclass(frozen=True)
class Gap:
    """Events that are no longer kept: all sequences from the first to the last."""

    first: int
    last: int


Message = Union[job_service_pb2.WatchResultResponse, job_service_pb2.RunResponse]
"""What comes over the stream of a watch or a run."""

WatchItem = Union[StateChange, Progress, Output, Log, Gap]


class Cursor:
    """How far a watch is, whatever became of its streams."""

    def __init__(self, job_id: str, after_sequence: int, heartbeat: float) -> None:
        self.job_id, self.last, self.heartbeat = job_id, after_sequence, heartbeat
        self.types: list[job_service_pb2.EventType.ValueType] = []
        """Which events to ask for; empty for all."""
        self.is_over = False
        self.outcome: job_pb2.Outcome | None = None
        """How the job ended, once that was seen."""

    def request(self) -> job_service_pb2.WatchResultRequest:
        """Asks for what comes after what was seen."""
        return job_service_pb2.WatchResultRequest(
            job_id=self.job_id, after_sequence=self.last, types=self.types, heartbeat=to_duration(self.heartbeat)
        )

    def unseen(self, message: Message) -> WatchItem | None:
        """What a message tells that was not told before."""
        if message.HasField("gap") and message.gap.to > self.last:
            # `from` is a keyword here.
            first = max(int(getattr(message.gap, "from")), self.last + 1)
            self.last = message.gap.to
            return Gap(first, message.gap.to)
        if message.HasField("event") and message.event.sequence > self.last:
            self.last = message.event.sequence
            item = read_event(message.event)
            self.is_over = isinstance(item, StateChange) and item.is_final
            if self.is_over:
                self.outcome = message.event.state_change.outcome
            return item
        return None


def read_event(event: job_pb2.JobEvent) -> StateChange | Progress | Output | Log | None:
    """The event; None if it is of a kind that is newer than this client."""
    about = (event.sequence, from_timestamp(event.time), event.attempt)
    match event.WhichOneof("event"):
        case "state_change":
            return read_state_change(about, event.state_change)
        case "progress":
            return read_progress(about, event.progress)
        case "output":
            return Output(*about, Payload.from_proto(event.output.payload), event.output.channel)
        case "log":
            level = short_name(job_pb2.LogLevel.Name, event.log.level, "LOG_LEVEL_").lower()
            stream = short_name(job_pb2.LogStream.Name, event.log.stream, "LOG_STREAM_").lower()
            return Log(*about, level.replace("unspecified", ""), event.log.text, stream.replace("unspecified", ""))
        case _:
            return None


def read_state_change(about: tuple[int, datetime, int], change: job_pb2.StateChange) -> StateChange:
    failure = None
    if change.HasField("failure"):
        failure = read_failure(change.failure)
    elif change.outcome.HasField("failure"):
        failure = read_failure(change.outcome.failure)
    return StateChange(*about, state_name(change.state), failure, change.cancel_requested)


def read_progress(about: tuple[int, datetime, int], progress: job_pb2.Progress) -> Progress:
    return Progress(
        *about,
        fraction=progress.fraction if progress.HasField("fraction") else None,
        done=progress.done if progress.HasField("done") else None,
        total=progress.total if progress.HasField("total") else None,
        unit=progress.unit,
        message=progress.message,
    )
