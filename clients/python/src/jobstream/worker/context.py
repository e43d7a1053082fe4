"""What a handler can see and do while its attempt runs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial

from ..errors import Facts, InvalidRequest
from ..payload import Payload, encode
from ..times import from_duration
from ..v1 import job_pb2, worker_service_pb2
from .endings import Cancelled
from .ledger import Ledger

LEVELS = {
    "debug": job_pb2.LOG_LEVEL_DEBUG,
    "info": job_pb2.LOG_LEVEL_INFO,
    "warn": job_pb2.LOG_LEVEL_WARN,
    "warning": job_pb2.LOG_LEVEL_WARN,
    "error": job_pb2.LOG_LEVEL_ERROR,
}


@dataclass(frozen=True)
class About:
    """What is known of an attempt when it begins."""

    lease_id: str
    job_id: str
    attempt: int
    kind: str
    queue: str
    payload: Payload
    headers: Mapping[str, str]
    labels: Mapping[str, str]
    ends_at: float
    """By the monotonic clock."""

    @classmethod
    def read(cls, assignment: worker_service_pb2.Assignment) -> About:
        left = from_duration(assignment.time_left) if assignment.HasField("time_left") else float("inf")
        return cls(
            lease_id=assignment.lease_id,
            job_id=assignment.job_id,
            attempt=assignment.attempt,
            kind=assignment.kind,
            queue=assignment.queue,
            payload=Payload.from_proto(assignment.payload),
            headers=dict(assignment.headers),
            labels=dict(assignment.labels),
            ends_at=time.monotonic() + left,
        )


class BaseContext:
    """One attempt of a job. `(job_id, attempt)` is the key of side effects that must not happen twice: no two workers
    are ever sent the same pair."""

    def __init__(self, about: About, ledger: Ledger) -> None:
        self._about, self._ledger = about, ledger
        self._stop = threading.Event()

    @property
    def job_id(self) -> str:
        return self._about.job_id

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1. Numbers grow and may have gaps."""
        return self._about.attempt

    @property
    def kind(self) -> str:
        return self._about.kind

    @property
    def queue(self) -> str:
        """Where the job waited."""
        return self._about.queue

    @property
    def payload(self) -> Payload:
        """The job's input as it came."""
        return self._about.payload

    @property
    def headers(self) -> Mapping[str, str]:
        return self._about.headers

    @property
    def labels(self) -> Mapping[str, str]:
        return self._about.labels

    @property
    def time_left(self) -> float:
        """Seconds until the attempt is ended by force; 0 once it was."""
        return max(0.0, self._about.ends_at - time.monotonic())

    @property
    def deadline(self) -> datetime:
        """When the attempt is ended by force."""
        left = min(self.time_left, timedelta(days=36500).total_seconds())
        return datetime.now(timezone.utc) + timedelta(seconds=left)

    @property
    def is_cancelled(self) -> bool:
        """Whether the handler was told to stop: the job was cancelled, ran too long, or is given to another worker."""
        return self._stop.is_set()

    def check_cancelled(self) -> None:
        """Raises Cancelled once the handler is to stop."""
        if self._stop.is_set():
            raise Cancelled(f"job {self.job_id}, attempt {self.attempt}")

    def progress(self, fraction: float, message: str = "") -> None:
        """Tells how far the attempt is, 0 to 1. Cheap in a tight loop: only the newest is sent."""
        self._ledger.progress(self._about.lease_id, job_pb2.Progress(fraction=fraction, message=message))

    def progress_of(self, done: float, total: float, unit: str = "") -> None:
        """Tells how many units of how many are done. The unit has at most 64 bytes."""
        fraction = done / total if total > 0 else None
        progress = job_pb2.Progress(fraction=fraction, done=done, total=total, unit=unit)
        self._ledger.progress(self._about.lease_id, progress)

    def log(self, text: str, level: str = "info") -> None:
        """A line for watchers, at most 16 KiB; levels are debug, info, warn and error. Never waits."""
        if level not in LEVELS:
            raise ValueError(f"the level {level!r} is none: use one of {', '.join(LEVELS)}")
        self._ledger.log(self._about.lease_id, LEVELS[level], text)

    def _chunk(self, chunk: object, channel: str) -> job_pb2.Output:
        payload = Payload.text(chunk) if isinstance(chunk, str) else encode(chunk)
        size, limit = len(payload.bytes), self._ledger.payload_bytes_max
        if size > limit:
            facts = Facts(reason="PAYLOAD_TOO_LARGE")
            raise InvalidRequest(f"a chunk of output is {size} bytes, the limit is {limit}: send smaller ones", facts)
        return job_pb2.Output(payload=payload.to_proto(), channel=channel)

    def _cancel(self) -> None:
        self._stop.set()


class Context(BaseContext):
    """The context of a handler that runs on a thread.

    Threads cannot be ended from outside: a handler that runs for long calls `check_cancelled` or `sleep` now and then.
    """

    def sleep(self, seconds: float) -> None:
        """Sleeps; raises Cancelled as soon as the handler is to stop."""
        if self._stop.wait(seconds):
            self.check_cancelled()

    def output(self, chunk: object, channel: str = "") -> None:
        """A chunk for watchers: text, bytes, a Payload, or what has JSON. `channel` has at most 64 bytes.

        Waits while more is on its way than the server has taken. Raises InvalidRequest if the chunk is larger than a
        payload may be, and Cancelled.
        """
        self.check_cancelled()
        output = self._chunk(chunk, channel)
        while not self._ledger.try_output(self._about.lease_id, output):
            room = threading.Event()
            self._ledger.when_room(room.set)
            self._room = room
            if not self._stop.is_set():
                room.wait()
            self.check_cancelled()

    _room: threading.Event | None = None

    def _cancel(self) -> None:
        super()._cancel()
        if self._room is not None:
            self._room.set()


class AsyncContext(BaseContext):
    """The context of a handler that is a coroutine. It is cancelled by CancelledError where it awaits."""

    async def output(self, chunk: object, channel: str = "") -> None:
        """A chunk for watchers: text, bytes, a Payload, or what has JSON. `channel` has at most 64 bytes.

        Waits while more is on its way than the server has taken. Raises InvalidRequest if the chunk is larger than a
        payload may be.
        """
        output = self._chunk(chunk, channel)
        loop = asyncio.get_running_loop()
        while not self._ledger.try_output(self._about.lease_id, output):
            room = asyncio.Event()
            self._ledger.when_room(partial(set_soon, loop, room))
            await room.wait()


def set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Sets an event of a loop, from any thread."""
    with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits.
        loop.call_soon_threadsafe(event.set)
