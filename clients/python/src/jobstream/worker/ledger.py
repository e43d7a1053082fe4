"""What a worker has to tell its server: reports, numbered and kept until they are acknowledged, and beside them the
state of its attempts. The stream of requests is made from it, see `requests`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto

from ..times import from_duration
from ..v1 import job_pb2, worker_service_pb2
from .endings import End, cut

ROOM_BYTES = 8 << 20
"""Most bytes of output and logs that are on their way: more output waits, more logs are dropped and counted."""
LEASES_HELD_MAX = 100_000
"""Leases that a greeting may name."""
LOG_BYTES_MAX = 16 << 10
PROGRESS_BYTES_MAX = 1 << 10


class Phase(Enum):
    """How far the present stream of requests is."""

    GREETED = auto()
    """The hello went; the server has not answered yet."""
    OPEN = auto()
    ENDING = auto()
    """What is there goes, then it ends."""


@dataclass
class Entry:
    """A report that was not acknowledged."""

    report: worker_service_pb2.AttemptReport
    room: int = 0
    """Bytes of the room; 0 for what always fits."""
    is_end: bool = False


@dataclass
class Attempt:
    """An attempt that runs, as the books know it."""

    progress: job_pb2.Progress | None = None
    """The newest that has no number yet."""
    dropped: int = 0
    """Log lines that were dropped since the last one that was not."""
    is_void: bool = False
    """The server does not know it any more: its end is dropped."""


class Ledger:
    """The books of one worker, through all its connections. Threads share it."""

    def __init__(self, slots: int) -> None:
        self.news = threading.Condition()
        self.reports: deque[Entry] = deque()
        self.sequence = 0
        self.sent = 0
        """How many of the reports have gone out on the present stream."""
        self.attempts: dict[str, Attempt] = {}
        self.accepts: list[str] = []
        self.heartbeat_due = False
        self.beats: list[str] = []
        """What the heartbeat under way has yet to name."""
        self.renewed = time.monotonic()
        """When the last heartbeat left, or the stream began without attempts: leases last from then on."""
        self.slots = slots
        self.slots_told = slots
        self.stream = 0
        """Which stream is the present one: earlier ones get nothing more."""
        self.phase = Phase.ENDING
        self.lease = float("inf")
        self.payload_bytes_max = 1 << 20
        self.room = ROOM_BYTES
        self.waiting_for_room: list[Callable[[], None]] = []

    # What handlers do.

    def progress(self, lease: str, progress: job_pb2.Progress) -> None:
        """Notes progress; of what is not on its way yet only the newest is kept."""
        progress.message = cut(progress.message, PROGRESS_BYTES_MAX)
        with self.news:
            attempt = self.attempts.get(lease)
            if attempt is not None and not attempt.is_void:
                attempt.progress = progress
                self.news.notify_all()

    def log(self, lease: str, level: job_pb2.LogLevel.ValueType, text: str) -> None:
        """Adds a log line, if there is room; else a later line tells how many are missing."""
        log = log_line(level, cut(text, LOG_BYTES_MAX))
        report = worker_service_pb2.AttemptReport(lease_id=lease, log=log)
        size = report.ByteSize()
        with self.news:
            attempt = self.attempts.get(lease)
            if attempt is None or attempt.is_void:
                return
            if size > self.room:
                attempt.dropped += 1
                return
            self.note_dropped(lease, attempt)
            self.room -= size
            self.push(report, room=size)

    def try_output(self, lease: str, output: job_pb2.Output) -> bool:
        """Adds a chunk of output, if there is room, or nobody wants it any more."""
        report = worker_service_pb2.AttemptReport(lease_id=lease, output=output)
        # The largest chunk takes all of it.
        size = min(report.ByteSize(), ROOM_BYTES)
        with self.news:
            attempt = self.attempts.get(lease)
            if attempt is None or attempt.is_void:
                return True
            if size > self.room:
                return False
            self.room -= size
            self.push(report, room=size)
            return True

    def when_room(self, callback: Callable[[], None]) -> None:
        """Has this called, once, when there is room again."""
        with self.news:
            self.waiting_for_room.append(callback)
            is_free = self.room == ROOM_BYTES
        if is_free:
            self.tell_room()

    def end(self, lease: str, end: End) -> None:
        """Ends an attempt that runs. A second end is dropped."""
        with self.news:
            attempt = self.attempts.pop(lease, None)
            if attempt is not None and not attempt.is_void:
                self.push_progress(lease, attempt)
                self.note_dropped(lease, attempt)
                end.lease_id = lease
                self.push(end, is_end=True)
            self.news.notify_all()

    # What the conversation does.

    def begin(self, lease: str) -> None:
        """Begins an attempt, which accepts it."""
        with self.news:
            self.attempts[lease] = Attempt()
            self.accepts.append(lease)
            self.news.notify_all()

    def beat(self) -> None:
        """Has a heartbeat sent."""
        with self.news:
            self.heartbeat_due = True
            self.news.notify_all()

    def acknowledge(self, up_to: int) -> None:
        """Lets go of reports up to this number."""
        with self.news:
            while self.reports and self.reports[0].report.report_sequence <= up_to:
                self.room += self.reports.popleft().room
                self.sent = max(0, self.sent - 1)
            self.news.notify_all()
        self.tell_room()

    def set_slots(self, slots: int) -> None:
        """Runs at most this many attempts at a time from now on."""
        with self.news:
            self.slots = slots
            self.news.notify_all()

    def greet(self, hello: worker_service_pb2.Hello) -> int:
        """Begins a new stream with this greeting, completed by slots and leases. Answers its number."""
        with self.news:
            # Those that the server turns out not to know any more need their slots until they stop.
            hello.slots = self.slots_told = max(0, self.slots - len(self.attempts))
            hello.held_lease_ids[:] = self.held()[:LEASES_HELD_MAX]
            self.sent = 0
            self.beats = []
            self.stream += 1
            self.phase = Phase.GREETED
            self.news.notify_all()
            return self.stream

    def welcome(self, welcome: worker_service_pb2.Welcome) -> list[str]:
        """Goes on after the server's answer. Answers the attempts that it does not know any more."""
        standing = set(welcome.standing_lease_ids)
        with self.news:
            self.lease = from_duration(welcome.lease)
            self.payload_bytes_max = welcome.payload_bytes_max
            lost = [lease for lease, attempt in self.attempts.items() if lease not in standing and not attempt.is_void]
            for lease in lost:
                self.attempts[lease] = Attempt(is_void=True)
            for entry in self.reports:
                if entry.report.lease_id not in standing:
                    self.room += entry.room
            self.reports = deque(entry for entry in self.reports if entry.report.lease_id in standing)
            self.accepts = list(self.running())
            self.heartbeat_due = bool(self.accepts)
            now = time.monotonic()
            # With nothing at stake, or all of it stopped already, leases begin anew.
            if not self.accepts or now >= self.renewed + self.lease:
                self.renewed = now
            self.phase = Phase.OPEN
        self.acknowledge(welcome.acked_report_sequence)
        return lost

    def end_stream(self) -> None:
        """Ends this stream of requests once what is there was sent."""
        with self.news:
            self.phase = Phase.ENDING
            self.news.notify_all()

    def cut(self) -> None:
        """Ends the present stream at once: nothing that it takes from now on would arrive."""
        with self.news:
            self.stream += 1
            self.news.notify_all()

    def fence(self) -> float:
        """When the leases run out unless a heartbeat leaves before."""
        with self.news:
            return self.renewed + self.lease

    def wait_settled(self, timeout: float) -> bool:
        """Waits until every report was acknowledged."""
        with self.news:
            return self.news.wait_for(lambda: not self.reports, timeout)

    # The lock is held in what follows.

    def running(self) -> Iterable[str]:
        """Attempts that run and that the server knows."""
        return (lease for lease, attempt in self.attempts.items() if not attempt.is_void)

    def held(self) -> list[str]:
        """Attempts that run or whose end was not acknowledged."""
        return [*self.running(), *(entry.report.lease_id for entry in self.reports if entry.is_end)]

    def slots_due(self) -> int:
        """What the server is to know of the slots: those without a lease are taken until they stop."""
        void = sum(attempt.is_void for attempt in self.attempts.values())
        return max(0, self.slots - void)

    def push(self, report: worker_service_pb2.AttemptReport, room: int = 0, is_end: bool = False) -> None:
        self.sequence += 1
        report.report_sequence = self.sequence
        self.reports.append(Entry(report, room, is_end))
        self.news.notify_all()

    def push_progress(self, lease: str, attempt: Attempt) -> None:
        """Makes a report of the newest progress: there is at most one on its way that was not sent."""
        if attempt.progress is not None:
            self.push(worker_service_pb2.AttemptReport(lease_id=lease, progress=attempt.progress))
            attempt.progress = None

    def note_dropped(self, lease: str, attempt: Attempt) -> None:
        """A line that tells how many were dropped before it."""
        if attempt.dropped:
            text = f"{attempt.dropped} log lines were dropped here: they came faster than they could be sent"
            attempt.dropped = 0
            log = log_line(job_pb2.LOG_LEVEL_WARN, text)
            self.push(worker_service_pb2.AttemptReport(lease_id=lease, log=log))

    def tell_room(self) -> None:
        """The lock is not held here: who is told may take it."""
        with self.news:
            waiting, self.waiting_for_room = self.waiting_for_room, []
        for callback in waiting:
            callback()


def log_line(level: job_pb2.LogLevel.ValueType, text: str) -> job_pb2.Log:
    return job_pb2.Log(level=level, text=text, stream=job_pb2.LOG_STREAM_LOG)
