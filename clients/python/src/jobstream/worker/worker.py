"""A worker whose handlers run on threads."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, TypeVar, Union

from typing_extensions import Self

from ..client import Client
from ..options import Address, ClientOptions, Span, seconds
from ..v1 import worker_service_pb2
from ..version import __version__
from .desk import Desk
from .handlers import Handler
from .ledger import Ledger
from .session import Session

PROTOCOL_VERSION = 1
SLOTS = 16
DRAIN_TIMEOUT = 10.0
"""Seconds running attempts may take after a signal."""
SIGNAL_LATENCY = 0.2
"""Seconds. The system may hand a signal to any thread, and one that waits without a limit then never heeds it."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)

Function = TypeVar("Function", bound=Callable[..., Any])
OnConnect = Callable[[str], None]


class Roster:
    """What a worker is to the server, and its handlers: what blocking and asyncio workers have in common."""

    def __init__(
        self,
        address: Address,
        options: ClientOptions,
        name: str,
        queues: Iterable[str],
        slots: int,
        drain_timeout: Span,
        on_connect: OnConnect | None,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots is {slots}: a worker runs at least 1 attempt at a time")
        self.address, self.options = address, options
        self.name, self.queues, self.slots = name, list(queues), slots
        self.drain_timeout = seconds(drain_timeout)
        self.on_connect = on_connect
        self.handlers: dict[str, Handler] = {}

    def add(self, kind: str, handler: Handler) -> None:
        if kind in self.handlers:
            raise ValueError(f"the kind {kind!r} has a handler already")
        self.handlers[kind] = handler

    def hello(self) -> worker_service_pb2.Hello:
        if not self.handlers:
            raise ValueError(f"the worker {self.name!r} has no handlers: add one with handler() before it runs")
        return worker_service_pb2.Hello(
            protocol_version=PROTOCOL_VERSION,
            name=self.name,
            instance_id=str(uuid.uuid4()),
            kinds=list(self.handlers),
            queues=self.queues,
            sdk=f"python/{__version__}",
            message_bytes_max=message_limit(self.options),
        )


def message_limit(options: ClientOptions) -> int:
    """What the worker reads. To gRPC a negative limit is none but its own."""
    return options.message_bytes_max if options.message_bytes_max >= 0 else (1 << 31) - 1


class Worker:
    """Takes jobs of a server and runs each on a thread of its own, at most `slots` at a time.

    `queues` are those it serves; none means all. `drain_timeout` is how long running attempts may take after a signal.
    `on_connect` is called with the server's id for this worker each time it connects, from a thread of the worker.

        worker = Worker(client, "resizer", slots=4)

        @worker.handler("resize")
        def resize(context: Context, image: Image) -> Thumbnail: ...

        worker.run()

    When its connection breaks, it connects again and keeps its attempts; when that takes longer than their leases last,
    it tells them to stop, because the server gives their jobs to others. It shares only address and options with the
    client.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        queues: Iterable[str] = (),
        slots: int = SLOTS,
        *,
        drain_timeout: Span = DRAIN_TIMEOUT,
        on_connect: OnConnect | None = None,
    ) -> None:
        self._roster = Roster(client.address, client.options, name, queues, slots, drain_timeout, on_connect)
        self._session: Session | None = None
        self._lock = threading.Lock()

    def handler(self, kind: str, *, input_type: Any = None) -> Callable[[Function], Function]:
        """Has this function run the jobs of a kind: of the context, and of the input unless it takes none.

        The input is of the type that the parameter is annotated with, or of `input_type`: a dataclass, a TypedDict, a
        pydantic model, a plain type, bytes, Payload. One that does not fit fails the job with BAD_PAYLOAD and names
        the field. What the function answers is sent as `Client.submit` sends an input. What it raises fails the
        attempt, retryable unless it is a PermanentError.
        """

        def add(function: Function) -> Function:
            handler = Handler.of(function, input_type)
            if handler.is_async:
                raise TypeError(f"the handler of {kind!r} is a coroutine: use AsyncWorker")
            self._roster.add(kind, handler)
            return function

        return add

    def start(self) -> None:
        """Begins to connect, in threads of its own. The first connection is tried as often as any other."""
        self._prepare().start()

    def run(self, *, signals: bool = True) -> None:
        """Works until it was drained: by SIGTERM or SIGINT, by `drain` or `stop`, or by an operator.

        The first signal drains it, the second stops it at once; they are heeded in the main thread only, and only
        until it returns. Raises InvalidRequest and the like if the server refuses it and would again.
        """
        session = self._prepare()
        is_main = threading.current_thread() is threading.main_thread()
        with self._heeding_signals(session) if signals and is_main else nothing():
            session.start()
            self.wait()

    def wait(self, timeout: Span | None = None) -> bool:
        """Waits for the end; False if it goes on after this long. Raises as `run`."""
        session = self._started()
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        while not session.ended.wait(
            SIGNAL_LATENCY if until is None else min(SIGNAL_LATENCY, until - time.monotonic())
        ):
            if until is not None and time.monotonic() >= until:
                return False
        if session.refusal is not None:
            raise session.refusal
        return True

    def wait_connected(self, timeout: Span | None = None) -> bool:
        """Waits until it takes jobs; False if it does not within this long."""
        return self._started().connected.wait(None if timeout is None else seconds(timeout))

    def drain(self, within: Span = DRAIN_TIMEOUT) -> None:
        """Takes no new jobs, lets what runs finish within this long, gives back the rest uncounted, and ends."""
        self._started().drain(seconds(within))
        self.wait()

    def stop(self) -> None:
        """Gives everything back at once, uncounted, and ends."""
        self.drain(0.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain(self._roster.drain_timeout)

    def _prepare(self) -> Session:
        with self._lock:
            if self._session is not None:
                raise RuntimeError("a worker runs once: make another one")
            hello = self._roster.hello()
            desk = Desk(self._roster.handlers, Ledger(self._roster.slots))
            roster = self._roster
            self._session = Session(roster.address, roster.options, hello, desk, roster.on_connect)
            return self._session

    def _started(self) -> Session:
        if self._session is None:
            raise RuntimeError("the worker was not started: call run() or start()")
        return self._session

    @contextmanager
    def _heeding_signals(self, session: Session) -> Generator[None]:
        told = 0

        def heed(_number: int, _frame: FrameType | None) -> None:
            nonlocal told
            told += 1
            within = self._roster.drain_timeout if told == 1 else 0.0
            # Not here: a signal comes at any moment, even while this thread holds the lock.
            threading.Thread(target=session.drain, args=(within,), daemon=True).start()

        before: list[tuple[signal.Signals, SignalHandler]] = [(each, signal.signal(each, heed)) for each in SIGNALS]
        try:
            yield
        finally:
            for each, handler in before:
                signal.signal(each, handler)


SignalHandler = Union[Callable[[int, Union[FrameType, None]], Any], int, signal.Handlers, None]


@contextmanager
def nothing() -> Generator[None]:
    yield
