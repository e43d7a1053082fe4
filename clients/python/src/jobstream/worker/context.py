"""The context of a handler: its job, its lease state, and progress, output and logs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial

from ..errors import ErrorDetails, InvalidRequest, JobstreamError
from ..payload import Payload, encode
from ..times import from_duration
from ..tracing import TraceContext
from ..v1 import job_pb2, worker_service_pb2
from .final_report import Cancelled
from .logs import log_safely
from .report_buffer import ReportBuffer
from .settled import OnSettled

LEVELS = {
    "debug": job_pb2.LOG_LEVEL_DEBUG,
    "info": job_pb2.LOG_LEVEL_INFO,
    "warn": job_pb2.LOG_LEVEL_WARN,
    "warning": job_pb2.LOG_LEVEL_WARN,
    "error": job_pb2.LOG_LEVEL_ERROR,
}


@dataclass(frozen=True)
class AttemptInfo:
    """The assignment of an attempt."""

    lease_id: str
    job_id: str
    attempt: int
    kind: str
    queue: str
    payload: Payload
    headers: Mapping[str, str]
    labels: Mapping[str, str]
    trace_context: TraceContext | None
    ends_at: float
    """Deadline by the monotonic clock."""

    @classmethod
    def read(cls, assignment: worker_service_pb2.Assignment) -> AttemptInfo:
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
            trace_context=TraceContext.from_proto(assignment.trace_context),
            ends_at=time.monotonic() + left,
        )


class BaseContext:
    """One attempt of a job. `(job_id, attempt)` is the idempotency key for side effects: no pair is assigned twice."""

    def __init__(self, info: AttemptInfo, buffer: ReportBuffer) -> None:
        self._info, self._buffer, self._payload = info, buffer, info.payload
        self._stop = threading.Event()

    @property
    def job_id(self) -> str:
        return self._info.job_id

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1. Numbers increase and may have gaps."""
        return self._info.attempt

    @property
    def kind(self) -> str:
        return self._info.kind

    @property
    def queue(self) -> str:
        """The queue of the job."""
        return self._info.queue

    @property
    def payload(self) -> Payload:
        """The input, undecoded. A handler interceptor may replace it before it calls `next`."""
        return self._payload

    @payload.setter
    def payload(self, payload: Payload) -> None:
        self._payload = payload

    @property
    def headers(self) -> Mapping[str, str]:
        return self._info.headers

    @property
    def labels(self) -> Mapping[str, str]:
        return self._info.labels

    @property
    def trace_context(self) -> TraceContext | None:
        """The trace of the submitter; None if it has none. With OpenTelemetry the span of the attempt is current."""
        return self._info.trace_context

    @property
    def time_left(self) -> float:
        """Seconds until the deadline of the attempt; 0 after it."""
        return max(0.0, self._info.ends_at - time.monotonic())

    @property
    def deadline(self) -> datetime:
        """The deadline of the attempt. The server ends the attempt then."""
        left = min(self.time_left, timedelta(days=36500).total_seconds())
        return datetime.now(timezone.utc) + timedelta(seconds=left)

    @property
    def is_cancelled(self) -> bool:
        """Whether the handler must stop: the job was cancelled, the attempt timed out, or the lease was lost."""
        return self._stop.is_set()

    def check_cancelled(self) -> None:
        """Raises Cancelled if the handler must stop."""
        if self._stop.is_set():
            raise Cancelled(f"job {self.job_id}, attempt {self.attempt}")

    def progress(self, fraction: float, message: str = "") -> None:
        """Reports progress from 0 to 1. Cheap in a tight loop: only the newest value is sent."""
        self._buffer.progress(self._info.lease_id, job_pb2.Progress(fraction=fraction, message=message))

    def progress_of(self, done: float, total: float, unit: str = "") -> None:
        """Reports progress as `done` of `total` units. The unit has at most 64 bytes."""
        fraction = done / total if total > 0 else None
        progress = job_pb2.Progress(fraction=fraction, done=done, total=total, unit=unit)
        self._buffer.progress(self._info.lease_id, progress)

    def log(self, text: str, level: str = "info") -> None:
        """Sends a log line to watchers, at most 16 KiB. Levels are debug, info, warn and error. Never blocks."""
        if level not in LEVELS:
            raise ValueError(f"invalid level {level!r}: use one of {', '.join(LEVELS)}")
        self._buffer.log(self._info.lease_id, LEVELS[level], text)

    def on_settled(self, callback: OnSettled) -> None:
        """Registers a function that is called once it is known whether the server has recorded the end of this attempt.

            def settled(error: JobstreamError | None) -> None:
                if error is None:  # The server has the result: no other attempt needs the file.
                    file.unlink()

            context.on_settled(settled)

        It is called exactly once, after the handler and its interceptors have returned:

        - with None once the end of the attempt, a failure included, is recorded; if the server has a log, durably;
        - with an error whose `reason` is "LEASE_LOST" if the server does not use the end, because the lease was lost:
          the job runs elsewhere or has ended otherwise. It is the error, too, of a handler that has not returned when a
          drain releases its job; the handler may still run then;
        - with Unavailable if it is not known, because the worker ended before the acknowledgement, or reconnected after
          a restart of the server.

        The functions of an attempt are called in the order of their registration: those of an AsyncContext in its event
        loop, others on a thread of the worker. They must not block. An exception is logged and has no other effect. All
        have been called once `run`, `drain` or `stop` of the worker returns. A function whose event loop was closed
        before is not called, and a warning is logged.

        Raises RuntimeError after the handler and its interceptors have returned.
        """
        if not self._buffer.on_settled(self._info.lease_id, partial(self._settle, callback)):
            raise RuntimeError("the attempt has ended: call on_settled before the handler returns")

    def _settle(self, callback: OnSettled, error: JobstreamError | None) -> None:
        try:
            callback(error)
        except BaseException as raised:  # noqa: BLE001  An exception of a callback must not end the worker.
            message = "on_settled of job %s, attempt %d, raised: %r"
            log_safely(logging.WARNING, message, self.job_id, self.attempt, raised)

    def _chunk(self, chunk: object, channel: str) -> job_pb2.Output:
        payload = Payload.from_text(chunk) if isinstance(chunk, str) else encode(chunk)
        size, limit = len(payload.bytes), self._buffer.payload_bytes_max
        if size > limit:
            details = ErrorDetails(reason="PAYLOAD_TOO_LARGE")
            raise InvalidRequest(f"output chunk is {size} bytes, limit is {limit}: send smaller chunks", details)
        return job_pb2.Output(payload=payload.to_proto(), channel=channel)

    def _cancel(self) -> None:
        self._stop.set()


class Context(BaseContext):
    """The context of a handler that runs on a thread.

    A thread cannot be cancelled from outside: a long-running handler must call `check_cancelled` or `sleep`.
    """

    def sleep(self, seconds: float) -> None:
        """Sleeps. Raises Cancelled as soon as the handler must stop."""
        if self._stop.wait(seconds):
            self.check_cancelled()

    def output(self, chunk: object, channel: str = "") -> None:
        """Sends a chunk of output to watchers: text, bytes, a Payload, or a value that is encoded as JSON. `channel`
        has at most 64 bytes.

        Blocks while the output buffer is full (backpressure). Raises InvalidRequest if the chunk is over the payload
        limit, and Cancelled.
        """
        self.check_cancelled()
        output = self._chunk(chunk, channel)
        while not self._buffer.try_output(self._info.lease_id, output):
            free_space = threading.Event()
            self._buffer.on_free_space(free_space.set)
            self._free_space = free_space
            if not self._stop.is_set():
                free_space.wait()
            self.check_cancelled()

    _free_space: threading.Event | None = None

    def _cancel(self) -> None:
        super()._cancel()
        if self._free_space is not None:
            self._free_space.set()


class AsyncContext(BaseContext):
    """The context of a coroutine handler. A cancellation raises CancelledError where the coroutine awaits."""

    async def output(self, chunk: object, channel: str = "") -> None:
        """Sends a chunk of output to watchers: text, bytes, a Payload, or a value that is encoded as JSON. `channel`
        has at most 64 bytes.

        Waits while the output buffer is full (backpressure). Raises InvalidRequest if the chunk is over the payload
        limit.
        """
        output = self._chunk(chunk, channel)
        loop = asyncio.get_running_loop()
        while not self._buffer.try_output(self._info.lease_id, output):
            free_space = asyncio.Event()
            self._buffer.on_free_space(partial(set_soon, loop, free_space))
            await free_space.wait()


def set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Sets an asyncio event from any thread."""
    with contextlib.suppress(RuntimeError):  # The loop is closed, so no task waits.
        loop.call_soon_threadsafe(event.set)
