"""Runs attempts: each on a thread, or as a task of an event loop, and tells the ledger how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any

from ..v1 import worker_service_pb2
from .context import About, AsyncContext, BaseContext, Context
from .endings import End, completed, raised, released, unknown_kind
from .handlers import Handler
from .ledger import Ledger

NOT_STARTED_PAUSE = 1.0
"""Seconds before a job that found no thread is given to a worker again."""


class Desk:
    """The attempts that run. `loop` is where handlers that are coroutines do."""

    def __init__(
        self, handlers: Mapping[str, Handler], ledger: Ledger, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.handlers, self.ledger, self.loop = handlers, ledger, loop
        self.changed = threading.Condition()
        self.running: dict[str, BaseContext] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def begin(self, assignment: worker_service_pb2.Assignment) -> None:
        """Accepts an assignment and runs it."""
        about = About.read(assignment)
        self.ledger.begin(about.lease_id)
        handler = self.handlers.get(about.kind)
        if handler is None:
            self.ledger.end(about.lease_id, unknown_kind(about.kind))
        elif handler.is_async and self.loop is not None:
            self.begin_task(self.loop, handler, about)
        else:
            self.begin_thread(handler, about)

    def begin_thread(self, handler: Handler, about: About) -> None:
        context = Context(about, self.ledger)
        self.note(context)
        # Not of a pool: those of a pool are joined at exit, and a handler that does not heed would hold it up.
        name = f"jobstream-{about.kind}"
        try:
            threading.Thread(target=self.run, args=(handler, context), name=name, daemon=True).start()
        except RuntimeError:
            # The system has no thread to give now: what never started counts as no attempt.
            self.end(context, released(NOT_STARTED_PAUSE))

    def run(self, handler: Handler, context: Context) -> None:
        try:
            end = self.completed(handler.call(context, context.payload))
        except BaseException as error:  # noqa: BLE001  Whatever a handler does, its worker goes on.
            end = raised(error, context.is_cancelled)
        self.end(context, end)

    def begin_task(self, loop: asyncio.AbstractEventLoop, handler: Handler, about: About) -> None:
        context = TaskContext(about, self.ledger, loop)
        self.note(context)

        def start() -> None:
            task = loop.create_task(self.run_task(handler, context), name=f"jobstream-{about.kind}")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

        loop.call_soon_threadsafe(start)

    async def run_task(self, handler: Handler, context: TaskContext) -> None:
        """Not the task that is cancelled: this one lives to tell the end."""
        inner = asyncio.ensure_future(contained(handler, context))
        context.attach(inner)
        try:
            value, error = await asyncio.shield(inner)
            end = self.completed(value) if error is None else raised(error, context.is_cancelled)
        except asyncio.CancelledError as error:
            # Of the handler's own making, unless it was told to stop or its loop ends.
            end = raised(error, context.is_cancelled or not inner.cancelled())
        self.end(context, end)

    def completed(self, value: object) -> End:
        return completed(value, self.ledger.payload_bytes_max)

    def note(self, context: BaseContext) -> None:
        with self.changed:
            self.running[context._about.lease_id] = context

    def end(self, context: BaseContext, end: End) -> None:
        # The report first: who waits for the desk to be empty then waits for the report.
        self.ledger.end(context._about.lease_id, end)
        with self.changed:
            self.running.pop(context._about.lease_id, None)
            self.changed.notify_all()

    def stop(self, lease: str) -> None:
        """Tells a handler to stop."""
        with self.changed:
            context = self.running.get(lease)
        if context is not None:
            context._cancel()

    def stop_all(self) -> None:
        for lease in list(self.running):
            self.stop(lease)

    def abandon_all(self) -> None:
        """Gives back what does not heed: its handlers are left behind."""
        with self.changed:
            left, self.running = list(self.running), {}
            self.changed.notify_all()
        for lease in left:
            self.ledger.end(lease, released())

    def wait_idle(self, until: float) -> bool:
        """Waits until nothing runs."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.running, max(0.0, until - time.monotonic()))


class TaskContext(AsyncContext):
    """The context of a coroutine, with the task to cancel."""

    def __init__(self, about: About, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(about, ledger)
        self._loop = loop
        self._task: asyncio.Future[Any] | None = None

    def attach(self, task: asyncio.Future[Any]) -> None:
        self._task = task
        if self.is_cancelled:
            task.cancel()

    def _cancel(self) -> None:
        if not self._stop.is_set():
            super()._cancel()
            with contextlib.suppress(RuntimeError):  # The loop is closed, and its tasks are gone.
                self._loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()


async def contained(handler: Handler, context: TaskContext) -> tuple[Any, BaseException | None]:
    """What a coroutine answers or raises. SystemExit and its like would end the loop if they left the task."""
    try:
        return await handler.call(context, context.payload), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  Whatever a handler does, its worker goes on.
        return None, error
