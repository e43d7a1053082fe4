"""A worker whose handlers are coroutines or functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import Self

from ..aio.client import AsyncClient
from ..interceptors import AsyncHandlerInterceptor, checked
from ..options import Span, seconds
from .context import set_soon
from .handlers import Handler
from .session import Session
from .worker import DRAIN_TIMEOUT, SIGNALS, SLOTS, OnConnect, WorkerConfig

Function = TypeVar("Function", bound=Callable[..., Any])


class AsyncWorker:
    """Runs jobs of a server, at most `slots` at a time.

    Coroutines run as tasks of the event loop that calls `run` or `start`, with an AsyncContext. Functions run on
    threads, with a Context, and may block. Threads handle the protocol, so a busy event loop does not delay heartbeats.
    `interceptors` are coroutine functions around both: `async def intercept(context, next): return await
    next(context)`.
    See Worker for the rest.
    """

    def __init__(
        self,
        client: AsyncClient,
        name: str,
        queues: Iterable[str] = (),
        slots: int = SLOTS,
        *,
        drain_timeout: Span = DRAIN_TIMEOUT,
        on_connect: OnConnect | None = None,
        interceptors: Sequence[AsyncHandlerInterceptor] = (),
    ) -> None:
        around = checked(interceptors, "AsyncWorker", is_async=True)
        self._config = WorkerConfig(
            client.access, client.options, name, queues, slots, drain_timeout, on_connect, around
        )
        self._session: Session | None = None
        self._ended = asyncio.Event()

    def handler(self, kind: str, *, input_type: Any = None) -> Callable[[Function], Function]:
        """Registers a coroutine function or a function as the handler of a kind; see Worker.handler."""

        def add(function: Function) -> Function:
            self._config.add(kind, Handler.of(function, input_type))
            return function

        return add

    def start(self) -> None:
        """Starts to connect. The first connection is retried like any other."""
        self._prepare().start()

    async def run(self, *, signals: bool = True) -> None:
        """Runs until the worker is drained by SIGTERM, SIGINT, `drain`, `stop` or an operator.

        The first signal drains it, the second stops it immediately. Signals are handled in the main thread only.
        Cancelling the task releases all attempts. Raises as Worker.run.
        """
        session = self._prepare()
        is_main = threading.current_thread() is threading.main_thread()
        async with AsyncExitStack() as stack:
            if signals and is_main:
                await stack.enter_async_context(self._drain_on_signals(session))
            session.start()
            try:
                await self.wait()
            except asyncio.CancelledError:
                session.drain(0.0)
                await asyncio.shield(self._ended.wait())
                raise

    async def wait(self) -> None:
        """Waits until the worker has ended. Raises as `run`."""
        session = self._started()
        await self._ended.wait()
        if session.fatal_error is not None:
            raise session.fatal_error

    async def drain(self, within: Span = DRAIN_TIMEOUT) -> None:
        """Drains the worker: accepts no new jobs, waits for running attempts, releases the rest after `within`, and
        ends. A released attempt does not count as a failure."""
        self._started().drain(seconds(within))
        await self.wait()

    async def stop(self) -> None:
        """Releases all attempts immediately and ends the worker. A released attempt does not count as a failure."""
        await self.drain(0.0)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain(self._config.drain_timeout)

    def _prepare(self) -> Session:
        if self._session is not None:
            raise RuntimeError("a worker can be started only once: create a new one")
        loop, config = asyncio.get_running_loop(), self._config
        hello = config.hello()
        runner = config.runner(loop)

        def on_connected(worker_id: str) -> None:
            if config.on_connect is not None:
                loop.call_soon_threadsafe(config.on_connect, worker_id)

        access = config.access.on_loop(loop, config.options.call_timeout)
        session = self._session = Session(access, config.options, hello, runner, on_connected)

        def await_end() -> None:
            session.ended.wait()
            set_soon(loop, self._ended)

        threading.Thread(target=await_end, name="jobstream-worker-end", daemon=True).start()
        return session

    def _started(self) -> Session:
        if self._session is None:
            raise RuntimeError("the worker was not started: call run() or start()")
        return self._session

    @asynccontextmanager
    async def _drain_on_signals(self, session: Session) -> AsyncGenerator[None]:
        loop, received = asyncio.get_running_loop(), 0

        def on_signal() -> None:
            nonlocal received
            received += 1
            session.drain(self._config.drain_timeout if received == 1 else 0.0)

        for each in SIGNALS:
            loop.add_signal_handler(each, on_signal)
        try:
            yield
        finally:
            for each in SIGNALS:
                loop.remove_signal_handler(each)
