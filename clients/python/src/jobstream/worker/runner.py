"""Runs attempts on threads or as tasks of an event loop, and reports their outcomes to the report buffer."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any

from ..v1 import worker_service_pb2
from .context import AsyncContext, AttemptInfo, BaseContext, Context
from .final_report import FinalReport, from_exception, from_result, release, unknown_kind
from .handlers import Handler
from .logs import log_failure
from .report_buffer import ReportBuffer

NOT_STARTED_PAUSE = 1.0
"""Delay in seconds before a job is assigned again whose attempt could not start a thread."""


class AttemptRunner:
    """Starts, cancels and tracks the running attempts. Coroutine handlers run in `loop`."""

    def __init__(
        self, handlers: Mapping[str, Handler], buffer: ReportBuffer, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.handlers, self.buffer, self.loop = handlers, buffer, loop
        self.changed = threading.Condition()
        self.running: dict[str, BaseContext] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def begin(self, assignment: worker_service_pb2.Assignment) -> None:
        """Accepts an assignment and starts its attempt."""
        info = AttemptInfo.read(assignment)
        self.buffer.begin(info.lease_id)
        handler = self.handlers.get(info.kind)
        if handler is None:
            self.end(BaseContext(info, self.buffer), unknown_kind(info.kind))
        elif handler.is_async and self.loop is not None:
            self.begin_task(self.loop, handler, info)
        else:
            self.begin_thread(handler, info)

    def begin_thread(self, handler: Handler, info: AttemptInfo) -> None:
        context = Context(info, self.buffer)
        self.add(context)
        # Not a pool: Python joins pool threads at exit, so a handler that ignores its cancellation would block the
        # exit.
        name = f"jobstream-{info.kind}"
        try:
            threading.Thread(target=self.run, args=(handler, context), name=name, daemon=True).start()
        except RuntimeError:
            # The system cannot start a thread. The attempt did not start, so it is released.
            self.end(context, release(NOT_STARTED_PAUSE))

    def run(self, handler: Handler, context: Context) -> None:
        try:
            report = self.result_report(handler.call(context, context.payload))
        except BaseException as error:  # noqa: BLE001  An exception of a handler must not end the worker.
            report = from_exception(error, context.is_cancelled)
        self.end(context, report)

    def begin_task(self, loop: asyncio.AbstractEventLoop, handler: Handler, info: AttemptInfo) -> None:
        context = TaskContext(info, self.buffer, loop)
        self.add(context)

        def start() -> None:
            task = loop.create_task(self.run_task(handler, context), name=f"jobstream-{info.kind}")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        loop.call_soon_threadsafe(start)

    async def run_task(self, handler: Handler, context: TaskContext) -> None:
        """Runs a coroutine handler in an inner task. Only the inner task is cancelled, so this one always reports the
        outcome."""
        inner = asyncio.ensure_future(call_handler(handler, context))
        context.attach(inner)
        try:
            value, error = await asyncio.shield(inner)
            report = self.result_report(value) if error is None else from_exception(error, context.is_cancelled)
        except asyncio.CancelledError as error:
            # The handler raised it itself, unless it was cancelled or its loop is closing.
            report = from_exception(error, context.is_cancelled or not inner.cancelled())
        self.end(context, report)

    def result_report(self, value: object) -> FinalReport:
        return from_result(value, self.buffer.payload_bytes_max)

    def add(self, context: BaseContext) -> None:
        with self.changed:
            self.running[context._info.lease_id] = context

    def end(self, context: BaseContext, report: FinalReport) -> None:
        if report.HasField("fail"):
            log_failure(context, report.fail.failure)
        # The report comes first: a waiter in wait_idle then also waits for its acknowledgement.
        self.buffer.end(context._info.lease_id, report)
        with self.changed:
            self.running.pop(context._info.lease_id, None)
            self.changed.notify_all()

    def stop(self, lease: str) -> None:
        """Cancels the context of an attempt."""
        with self.changed:
            context = self.running.get(lease)
        if context is not None:
            context._cancel()

    def stop_all(self) -> None:
        for lease in list(self.running):
            self.stop(lease)

    def abandon_all(self) -> None:
        """Releases the attempts whose handlers do not stop. Their threads keep running."""
        with self.changed:
            left, self.running = list(self.running), {}
            self.changed.notify_all()
        for lease in left:
            self.buffer.end(lease, release())

    def wait_idle(self, until: float) -> bool:
        """Waits until no attempt is running."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.running, max(0.0, until - time.monotonic()))


class TaskContext(AsyncContext):
    """An AsyncContext that cancels the task of its handler."""

    def __init__(self, info: AttemptInfo, buffer: ReportBuffer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(info, buffer)
        self._loop = loop
        self._task: asyncio.Future[Any] | None = None

    def attach(self, task: asyncio.Future[Any]) -> None:
        self._task = task
        if self.is_cancelled:
            task.cancel()

    def _cancel(self) -> None:
        if not self._stop.is_set():
            super()._cancel()
            with contextlib.suppress(RuntimeError):  # The loop is closed, so its tasks have ended.
                self._loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()


async def call_handler(handler: Handler, context: TaskContext) -> tuple[Any, BaseException | None]:
    """Returns the result or the exception of a coroutine handler. A SystemExit that reaches the loop would end it."""
    try:
        return await handler.call(context, context.payload), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  An exception of a handler must not end the worker.
        return None, error
