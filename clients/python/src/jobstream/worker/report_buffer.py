"""The state that a worker sends to its server: numbered reports until they are acknowledged, running attempts, accepted
leases, slots and heartbeats. `requests` builds the messages from it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from ..errors import JobstreamError
from ..times import from_duration
from ..v1 import job_pb2, worker_service_pb2
from .final_report import FinalReport, release, truncate
from .settled import OnSettled, lease_lost, settle, unknown

BUFFER_BYTES_MAX = 8 << 20
"""Most bytes of unacknowledged output and logs. Above it output blocks, and log lines are dropped and counted."""
HELD_LEASES_MAX = 100_000
"""Most leases in a Hello."""
LOG_BYTES_MAX = 16 << 10
PROGRESS_BYTES_MAX = 1 << 10


class Phase(Enum):
    """State of the current request stream."""

    HELLO_SENT = auto()
    """Hello was sent, Welcome was not received."""
    OPEN = auto()
    ENDING = auto()
    """The stream ends after the buffered reports."""


@dataclass
class Entry:
    """An unacknowledged report."""

    report: worker_service_pb2.AttemptReport
    buffered_bytes: int = 0
    """Bytes counted against the buffer; 0 for reports that are never limited."""
    is_final: bool = False
    settled: tuple[OnSettled, ...] = ()
    """Called when a final report is acknowledged or refused."""


@dataclass
class Attempt:
    """A running attempt."""

    progress: job_pb2.Progress | None = None
    """The newest progress that is not in a report yet."""
    dropped: int = 0
    """Log lines dropped since the last one that was buffered."""
    lease_lost: bool = False
    """The server does not know the lease. The final report is dropped."""
    is_revoked: bool = False
    """The server said on this stream that the lease is lost. The final report frees the slot."""
    settled: tuple[OnSettled, ...] = ()


class ReportBuffer:
    """Buffers the reports of one worker across its connections. It is thread-safe."""

    def __init__(self, slots: int) -> None:
        self.changed = threading.Condition()
        self.reports: deque[Entry] = deque()
        self.sequence = 0
        self.sent = 0
        """Number of reports sent on the current stream."""
        self.attempts: dict[str, Attempt] = {}
        self.accepted: list[str] = []
        self.heartbeat_requested = False
        self.heartbeat_lease_ids: list[str] = []
        """Leases that the heartbeat in progress has not listed yet."""
        self.leases_renewed_at = time.monotonic()
        """Time of the last heartbeat, or of the stream's start without attempts. Leases are extended from then."""
        self.slots = slots
        self.slots_sent = slots
        self.stream = 0
        """Number of the current stream. Earlier streams send nothing more."""
        self.phase = Phase.ENDING
        self.lease_duration = float("inf")
        self.payload_bytes_max = 1 << 20
        self.free_bytes = BUFFER_BYTES_MAX
        self.space_waiters: list[Callable[[], None]] = []
        self.is_closed = False
        """Whether the worker has ended: nothing is acknowledged any more."""

    # Called by handlers.

    def progress(self, lease: str, progress: job_pb2.Progress) -> None:
        """Records progress. Only the newest unsent value is retained."""
        progress.message = truncate(progress.message, PROGRESS_BYTES_MAX)
        with self.changed:
            attempt = self.attempts.get(lease)
            if attempt is not None and not attempt.lease_lost:
                attempt.progress = progress
                self.changed.notify_all()

    def log(self, lease: str, level: job_pb2.LogLevel.ValueType, text: str) -> None:
        """Buffers a log line. Drops and counts it if the buffer is full."""
        log = log_line(level, truncate(text, LOG_BYTES_MAX))
        report = worker_service_pb2.AttemptReport(lease_id=lease, log=log)
        size = report.ByteSize()
        with self.changed:
            attempt = self.attempts.get(lease)
            if attempt is None or attempt.lease_lost:
                return
            if size > self.free_bytes:
                attempt.dropped += 1
                return
            self.push_dropped_count(lease, attempt)
            self.free_bytes -= size
            self.push(report, buffered_bytes=size)

    def try_output(self, lease: str, output: job_pb2.Output) -> bool:
        """Buffers a chunk of output. Returns False if the buffer is full. Drops the chunk if the lease is lost."""
        report = worker_service_pb2.AttemptReport(lease_id=lease, output=output)
        # The largest chunk uses the whole buffer.
        size = min(report.ByteSize(), BUFFER_BYTES_MAX)
        with self.changed:
            attempt = self.attempts.get(lease)
            if attempt is None or attempt.lease_lost:
                return True
            if size > self.free_bytes:
                return False
            self.free_bytes -= size
            self.push(report, buffered_bytes=size)
            return True

    def on_free_space(self, callback: Callable[[], None]) -> None:
        """Calls this once when the buffer has free space."""
        with self.changed:
            self.space_waiters.append(callback)
            is_free = self.free_bytes == BUFFER_BYTES_MAX
        if is_free:
            self.notify_space_waiters()

    def on_settled(self, lease: str, callback: OnSettled) -> bool:
        """Calls this once the attempt is settled: see BaseContext.on_settled. Returns False if it has ended."""
        with self.changed:
            attempt = self.attempts.get(lease)
            if attempt is None:
                return False
            attempt.settled += (callback,)
            return True

    def end(self, lease: str, report: FinalReport) -> None:
        """Ends a running attempt. A second final report is dropped."""
        with self.changed:
            attempt = self.attempts.pop(lease, None)
            if attempt is None:
                return
            is_lost = attempt.lease_lost or attempt.is_revoked
            if not attempt.lease_lost:
                self.push_progress(lease, attempt)
                self.push_dropped_count(lease, attempt)
                report.lease_id = lease
                settled = () if is_lost or self.is_closed else attempt.settled
                self.push(report, is_final=True, settled=settled)
            is_closed = self.is_closed
            self.changed.notify_all()
        if attempt.settled and (is_lost or is_closed):
            settle(attempt.settled, lease_lost() if is_lost else unknown())

    # Called by the session.

    def begin(self, lease: str) -> bool:
        """Records a new attempt and accepts its lease. Returns False after it released the attempt of a worker that
        drains: the server sent the assignment before it received that the worker has no slots."""
        with self.changed:
            if self.slots == 0:
                report = release()
                report.lease_id = lease
                self.push(report, is_final=True)
                return False
            self.attempts[lease] = Attempt()
            self.accepted.append(lease)
            self.changed.notify_all()
            return True

    def request_heartbeat(self) -> None:
        """Requests a heartbeat."""
        with self.changed:
            self.heartbeat_requested = True
            self.changed.notify_all()

    def revoke(self, lease: str) -> None:
        """Notes that the lease of an attempt is lost."""
        with self.changed:
            attempt = self.attempts.get(lease)
            if attempt is not None:
                attempt.is_revoked = True

    def acknowledge(self, up_to: int, refusals: Mapping[int, JobstreamError] | None = None) -> None:
        """Removes the reports up to this number, of which these were refused."""
        ended: list[Entry] = []
        with self.changed:
            while self.reports and self.reports[0].report.report_sequence <= up_to:
                entry = self.reports.popleft()
                self.free_bytes += entry.buffered_bytes
                self.sent = max(0, self.sent - 1)
                if entry.settled:
                    ended.append(entry)
            self.changed.notify_all()
        for entry in ended:
            settle(entry.settled, (refusals or {}).get(entry.report.report_sequence))
        self.notify_space_waiters()

    def close(self) -> None:
        """Ends the session: what is not acknowledged now never will be."""
        with self.changed:
            self.is_closed = True
            ended = [entry.settled for entry in self.reports if entry.settled]
            for entry in self.reports:
                entry.settled = ()
        for settled in ended:
            settle(settled, unknown())

    def set_slots(self, slots: int) -> None:
        """Changes the number of slots."""
        with self.changed:
            self.slots = slots
            self.changed.notify_all()

    def begin_stream(self, hello: worker_service_pb2.Hello) -> int:
        """Begins a new stream. Completes Hello with the slots and the held leases. Returns the stream number."""
        with self.changed:
            # An attempt whose lease is lost occupies its slot until it stops.
            hello.slots = self.slots_sent = max(0, self.slots - len(self.attempts))
            hello.held_lease_ids[:] = self.held()[:HELD_LEASES_MAX]
            self.sent = 0
            self.heartbeat_lease_ids = []
            self.stream += 1
            self.phase = Phase.HELLO_SENT
            self.changed.notify_all()
            return self.stream

    def welcome(
        self, welcome: worker_service_pb2.Welcome, refusals: Mapping[int, JobstreamError] | None = None
    ) -> list[str]:
        """Applies Welcome, with the refused reports that it lists. Returns the attempts whose leases are lost."""
        standing = set(welcome.standing_lease_ids)
        with self.changed:
            self.lease_duration = from_duration(welcome.lease)
            self.payload_bytes_max = welcome.payload_bytes_max
            lost = [
                lease for lease, attempt in self.attempts.items() if lease not in standing and not attempt.lease_lost
            ]
            for lease in lost:
                self.attempts[lease] = Attempt(lease_lost=True, settled=self.attempts[lease].settled)
            acknowledged = welcome.acked_report_sequence
            dropped: list[Entry] = []
            resent = deque[Entry]()
            for entry in self.reports:
                is_resent = entry.report.lease_id in standing and entry.report.report_sequence > acknowledged
                (resent if is_resent else dropped).append(entry)
            self.free_bytes += sum(entry.buffered_bytes for entry in dropped)
            self.reports = resent
            self.accepted = list(self.running())
            self.heartbeat_requested = bool(self.accepted)
            now = time.monotonic()
            # Without running attempts, or after all leases expired, lease times restart.
            if not self.accepted or now >= self.leases_renewed_at + self.lease_duration:
                self.leases_renewed_at = now
            self.phase = Phase.OPEN
        for entry in dropped:
            sequence = entry.report.report_sequence
            if refusals and sequence in refusals:
                settle(entry.settled, refusals[sequence])
            elif sequence <= welcome.unknown_report_sequence:
                settle(entry.settled, unknown())
            else:
                settle(entry.settled, None if sequence <= acknowledged else lease_lost())
        self.acknowledge(acknowledged)
        return lost

    def finish_stream(self) -> None:
        """Ends the current stream after the buffered reports were sent."""
        with self.changed:
            self.phase = Phase.ENDING
            self.changed.notify_all()

    def abort_stream(self) -> None:
        """Ends the current stream immediately, because its connection is closed."""
        with self.changed:
            self.stream += 1
            self.changed.notify_all()

    def lease_deadline(self) -> float:
        """When the leases expire if no heartbeat is sent."""
        with self.changed:
            return self.leases_renewed_at + self.lease_duration

    def wait_acknowledged(self, timeout: float) -> bool:
        """Waits until every report is acknowledged."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.reports, timeout)

    # The caller of these holds the lock.

    def running(self) -> Iterable[str]:
        """Running attempts that hold their leases."""
        return (lease for lease, attempt in self.attempts.items() if not attempt.lease_lost)

    def held(self) -> list[str]:
        """Leases of running attempts, and of ended ones whose final report is not acknowledged."""
        return [*self.running(), *(entry.report.lease_id for entry in self.reports if entry.is_final)]

    def usable_slots(self) -> int:
        """Slots without those of attempts that lost their leases and have not stopped."""
        lost = sum(attempt.lease_lost for attempt in self.attempts.values())
        return max(0, self.slots - lost)

    def push(
        self,
        report: worker_service_pb2.AttemptReport,
        buffered_bytes: int = 0,
        is_final: bool = False,
        settled: tuple[OnSettled, ...] = (),
    ) -> None:
        self.sequence += 1
        report.report_sequence = self.sequence
        self.reports.append(Entry(report, buffered_bytes, is_final, settled))
        self.changed.notify_all()

    def push_progress(self, lease: str, attempt: Attempt) -> None:
        """Buffers a report of the newest progress."""
        if attempt.progress is not None:
            self.push(worker_service_pb2.AttemptReport(lease_id=lease, progress=attempt.progress))
            attempt.progress = None

    def push_dropped_count(self, lease: str, attempt: Attempt) -> None:
        """Buffers a log line with the number of lines dropped before it."""
        if attempt.dropped:
            text = f"{attempt.dropped} log lines were dropped here: the send buffer was full"
            attempt.dropped = 0
            log = log_line(job_pb2.LOG_LEVEL_WARN, text)
            self.push(worker_service_pb2.AttemptReport(lease_id=lease, log=log))

    def notify_space_waiters(self) -> None:
        """Calls the waiters. The lock is not held, because a waiter may take it."""
        with self.changed:
            waiting, self.space_waiters = self.space_waiters, []
        for callback in waiting:
            callback()


def log_line(level: job_pb2.LogLevel.ValueType, text: str) -> job_pb2.Log:
    return job_pb2.Log(level=level, text=text, stream=job_pb2.LOG_STREAM_LOG)
