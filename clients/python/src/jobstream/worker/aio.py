"""A worker whose handlers are coroutines, or run on threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import Self

from ..aio.client import AsyncClient
from ..options import Span, seconds
from .context import set_soon
from .desk import Desk
from .handlers import Handler
from .ledger import Ledger
from .session import Session
from .worker import DRAIN_TIMEOUT, SIGNALS, SLOTS, OnConnect, Roster

Function = TypeVar("Function", bound=Callable[..., Any])


class AsyncWorker:
    """Takes jobs of a server and runs them, at most `slots` at a time: coroutines as tasks of the event loop that calls
    `run` or `start`, with an AsyncContext; functions on threads, with a Context, so that they may block.

    Everything else is as with Worker: the protocol is spoken by the same threads, so a busy loop misses no ping.
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
    ) -> None:
        self._roster = Roster(client.address, client.options, name, queues, slots, drain_timeout, on_connect)
        self._session: Session | None = None
        self._ended = asyncio.Event()

    def handler(self, kind: str, *, input_type: Any = None) -> Callable[[Function], Function]:
        """Has this coroutine function, or function, run the jobs of a kind; see Worker.handler."""

        def add(function: Function) -> Function:
            self._roster.add(kind, Handler.of(function, input_type))
            return function

        return add

    def start(self) -> None:
        """Begins to connect. The first connection is tried as often as any other."""
        self._prepare().start()

    async def run(self, *, signals: bool = True) -> None:
        """Works until it was drained: by SIGTERM or SIGINT, by `drain` or `stop`, or by an operator.

        The first signal drains it, the second stops it at once; they are heeded in the main thread only, and only
        until it returns. A cancelled task gives everything back. Raises as Worker.run.
        """
        session = self._prepare()
        is_main = threading.current_thread() is threading.main_thread()
        async with AsyncExitStack() as stack:
            if signals and is_main:
                await stack.enter_async_context(self._heeding_signals(session))
            session.start()
            try:
                await self.wait()
            except asyncio.CancelledError:
                session.drain(0.0)
                await asyncio.shield(self._ended.wait())
                raise

    async def wait(self) -> None:
        """Waits for the end. Raises as `run`."""
        session = self._started()
        await self._ended.wait()
        if session.refusal is not None:
            raise session.refusal

    async def drain(self, within: Span = DRAIN_TIMEOUT) -> None:
        """Takes no new jobs, lets what runs finish within this long, gives back the rest uncounted, and ends."""
        self._started().drain(seconds(within))
        await self.wait()

    async def stop(self) -> None:
        """Gives everything back at once, uncounted, and ends."""
        await self.drain(0.0)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain(self._roster.drain_timeout)

    def _prepare(self) -> Session:
        if self._session is not None:
            raise RuntimeError("a worker runs once: make another one")
        loop, roster = asyncio.get_running_loop(), self._roster
        hello = roster.hello()
        desk = Desk(roster.handlers, Ledger(roster.slots), loop)

        def tell_connect(worker_id: str) -> None:
            if roster.on_connect is not None:
                loop.call_soon_threadsafe(roster.on_connect, worker_id)

        session = self._session = Session(roster.address, roster.options, hello, desk, tell_connect)

        def tell_end() -> None:
            session.ended.wait()
            set_soon(loop, self._ended)

        threading.Thread(target=tell_end, name="jobstream-worker-end", daemon=True).start()
        return session

    def _started(self) -> Session:
        if self._session is None:
            raise RuntimeError("the worker was not started: call run() or start()")
        return self._session

    @asynccontextmanager
    async def _heeding_signals(self, session: Session) -> AsyncGenerator[None]:
        loop, told = asyncio.get_running_loop(), 0

        def heed() -> None:
            nonlocal told
            told += 1
            session.drain(self._roster.drain_timeout if told == 1 else 0.0)

        for each in SIGNALS:
            loop.add_signal_handler(each, heed)
        try:
            yield
        finally:
            for each in SIGNALS:
                loop.remove_signal_handler(each)
