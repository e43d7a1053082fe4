"""Runs attempts on threads or as tasks of an event loop, and reports their outcomes to the report buffer."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Union

from ..errors import JobstreamError
from ..interceptors import chained
from ..payload import Payload
from ..tracing import ProcessSpan, Tracing
from ..v1 import worker_service_pb2
from .context import AsyncContext, AttemptInfo, BaseContext, Context
from .final_report import FinalReport, from_exception, from_result, release, unknown_kind
from .handlers import Handler
from .logs import FailureLog, describe, log_safely, shown
from .report_buffer import ReportBuffer
from .settled import OnSettled

NOT_STARTED_PAUSE = 1.0
"""Delay in seconds before a job is assigned again whose attempt could not start a thread."""
NO_RESULT = Payload()

Ended = tuple[Payload, Union[BaseException, None]]
"""The result or the exception of a handler."""


class NotStarted(RuntimeError):
    """The system cannot start a thread."""


class AttemptRunner:
    """Starts, cancels and tracks the running attempts. Coroutine handlers and coroutine interceptors run in `loop`."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        buffer: ReportBuffer,
        interceptors: Sequence[Callable[..., Any]],
        tracing: Tracing,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.tracing = tracing
        self.handlers, self.buffer, self.interceptors, self.loop = handlers, buffer, interceptors, loop
        self.changed = threading.Condition()
        self.running: dict[str, BaseContext] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.failures = FailureLog()

    def begin(self, assignment: worker_service_pb2.Assignment) -> None:
        """Accepts an assignment and starts its attempt, unless the worker drains."""
        info = AttemptInfo.read(assignment)
        if not self.buffer.begin(info.lease_id):
            return
        handler = self.handlers.get(info.kind)
        if handler is None:
            context, report = BaseContext(info, self.buffer), unknown_kind(info.kind)
            self.failures.add(context, report.fail.failure, None)
            self.end(context, report)
        elif self.loop is None or not (handler.is_async or self.interceptors):
            self.begin_thread(handler, Context(info, self.buffer))
        elif handler.is_async:
            task_context = TaskContext(info, self.buffer, self.loop)
            self.begin_task(self.loop, task_context, partial(call_in_task, handler, task_context, self.interceptors))
        else:
            thread_context = Context(info, self.buffer)
            call = partial(call_on_thread, handler, thread_context, self.interceptors)
            self.begin_task(self.loop, thread_context, call)

    def begin_thread(self, handler: Handler, context: Context) -> None:
        self.add(context)
        try:
            start_thread(context, partial(self.run, handler, context))
        except NotStarted:
            self.end(context, release(NOT_STARTED_PAUSE))

    def run(self, handler: Handler, context: Context) -> None:
        with self.tracing.process(context) as span:
            cause: BaseException | None = None
            try:
                result = checked_result(chained(self.interceptors, handler.result)(context))
                report = from_result(result, self.buffer.payload_bytes_max)
            except BaseException as error:  # noqa: BLE001  An exception of a handler must not end the worker.
                report, cause = from_exception(error, context.is_cancelled), error
            self.record(context, report, cause, span)
        self.end(context, report)

    def begin_task(
        self, loop: asyncio.AbstractEventLoop, context: BaseContext, call: Callable[[], Awaitable[Payload]]
    ) -> None:
        self.add(context)

        def start() -> None:
            task = loop.create_task(self.run_task(context, call()), name=f"jobstream-{context.kind}")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        loop.call_soon_threadsafe(start)

    async def run_task(self, context: BaseContext, call: Awaitable[Payload]) -> None:
        """Runs a handler in an inner task. Only the inner task is cancelled, so this one always reports the outcome."""
        with self.tracing.process(context) as span:
            inner = asyncio.ensure_future(caught(call))
            if isinstance(context, TaskContext):
                context.attach(inner)
            cause: BaseException | None
            try:
                result, cause = await asyncio.shield(inner)
                report = self.report_of(context, result, cause)
            except asyncio.CancelledError as error:
                # The handler raised it itself, unless it was cancelled or its loop is closing.
                report, cause = from_exception(error, context.is_cancelled or not inner.cancelled()), error
            self.record(context, report, cause, span)
        self.end(context, report)

    def report_of(self, context: BaseContext, result: Payload, cause: BaseException | None) -> FinalReport:
        if isinstance(cause, NotStarted):
            return release(NOT_STARTED_PAUSE)
        if cause is not None:
            return from_exception(cause, context.is_cancelled)
        return from_result(result, self.buffer.payload_bytes_max)

    def add(self, context: BaseContext) -> None:
        with self.changed:
            self.running[context._info.lease_id] = context

    def record(self, context: BaseContext, report: FinalReport, cause: BaseException | None, span: ProcessSpan) -> None:
        """Records the failure of an attempt in its span and in the log."""
        if report.HasField("fail"):
            span.failed(*describe(report.fail.failure), shown(report.fail.failure, cause))
            self.failures.add(context, report.fail.failure, cause)

    def end(self, context: BaseContext, report: FinalReport) -> None:
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
            # The server does not use what the handler returns later, so its lease counts as lost.
            self.buffer.revoke(lease)
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

    def _settle(self, callback: OnSettled, error: JobstreamError | None) -> None:
        try:
            self._loop.call_soon_threadsafe(super()._settle, callback, error)
        except RuntimeError:
            message = "on_settled of job %s, attempt %d, is not called: its event loop is closed: end the worker first"
            log_safely(logging.WARNING, message, self.job_id, self.attempt)

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


async def call_in_task(handler: Handler, context: TaskContext, interceptors: Sequence[Callable[..., Any]]) -> Payload:
    """Calls a coroutine handler through its interceptors."""
    call: Callable[[BaseContext], Awaitable[Payload]] = chained(interceptors, handler.async_result)
    return await call(context)


async def call_on_thread(handler: Handler, context: Context, interceptors: Sequence[Callable[..., Any]]) -> Payload:
    """Calls a function through coroutine interceptors: the function on a thread, the interceptors in the event loop."""
    loop = asyncio.get_running_loop()

    async def on_thread(context: BaseContext) -> Payload:
        ended: asyncio.Future[Ended] = loop.create_future()

        def run() -> None:
            try:
                outcome: Ended = handler.result(context), None
            except BaseException as error:  # noqa: BLE001  An exception of a handler must not end the worker.
                outcome = NO_RESULT, error
            with contextlib.suppress(RuntimeError):  # The loop is closed, so no task waits.
                loop.call_soon_threadsafe(ended.set_result, outcome)

        # The thread has the context variables of the interceptors.
        start_thread(context, partial(contextvars.copy_context().run, run))
        result, error = await ended
        if error is not None:
            raise error
        return result

    call: Callable[[BaseContext], Awaitable[Payload]] = chained(interceptors, on_thread)
    return await call(context)


def checked_result(result: object) -> Payload:
    """The result of a handler after its interceptors. Raises TypeError if one of them returned something else."""
    if not isinstance(result, Payload):
        name = type(result).__qualname__
        raise TypeError(f"an interceptor returned a {name}: return the Payload of next, or another one")
    return result


def start_thread(context: BaseContext, run: Callable[[], None]) -> None:
    """Starts the thread of an attempt. Raises NotStarted.

    Not a pool: Python joins pool threads at exit, so a handler that ignores its cancellation would block the exit.
    """
    try:
        threading.Thread(target=run, name=f"jobstream-{context.kind}", daemon=True).start()
    except RuntimeError as error:
        raise NotStarted(str(error)) from error


async def caught(call: Awaitable[Payload]) -> Ended:
    """Returns the result or the exception of a handler. A SystemExit that reaches the loop would end it."""
    try:
        return checked_result(await call), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  An exception of a handler must not end the worker.
        return NO_RESULT, error
