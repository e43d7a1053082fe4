"""A worker whose handlers run on threads."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, TypeVar, Union

from typing_extensions import Self

from ..access import Access
from ..client import Client
from ..interceptors import HandlerInterceptor, checked
from ..options import ClientOptions, Span, seconds
from ..tracing import tracing_of
from ..v1 import worker_service_pb2
from ..version import __version__
from .handlers import Handler
from .report_buffer import ReportBuffer
from .runner import AttemptRunner
from .session import Session

PROTOCOL_VERSION = 1
SLOTS = 16
DRAIN_TIMEOUT = 10.0
"""Time in seconds for running attempts to finish after a signal."""
SIGNAL_LATENCY = 0.2
"""Poll interval in seconds. The system may deliver a signal to any thread; the main thread handles it only between
waits."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)

Function = TypeVar("Function", bound=Callable[..., Any])
OnConnect = Callable[[str], None]


class WorkerConfig:
    """The configuration and handlers of a worker, shared by Worker and AsyncWorker."""

    def __init__(
        self,
        access: Access,
        options: ClientOptions,
        name: str,
        queues: Iterable[str],
        slots: int,
        drain_timeout: Span,
        on_connect: OnConnect | None,
        interceptors: tuple[Callable[..., Any], ...],
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots is {slots}: a worker runs at least 1 attempt at a time")
        self.access, self.options = access, options
        self.name, self.queues, self.slots = name, list(queues), slots
        self.drain_timeout = seconds(drain_timeout)
        self.on_connect = on_connect
        self.interceptors = interceptors
        self.handlers: dict[str, Handler] = {}

    def add(self, kind: str, handler: Handler) -> None:
        if kind in self.handlers:
            raise ValueError(f"the kind {kind!r} already has a handler")
        self.handlers[kind] = handler

    def runner(self, loop: asyncio.AbstractEventLoop | None = None) -> AttemptRunner:
        buffer, tracing = ReportBuffer(self.slots), tracing_of(self.options)
        return AttemptRunner(self.handlers, buffer, self.interceptors, tracing, loop)

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
    """The receive limit of the worker. gRPC treats a negative limit as unlimited."""
    return options.message_bytes_max if options.message_bytes_max >= 0 else (1 << 31) - 1


class Worker:
    """Runs jobs of a server, each on a thread of its own, at most `slots` at a time.

    `queues` are the queues it serves; empty means all. `drain_timeout` is the time for running attempts to finish after
    a signal. `on_connect` is called with the worker id from the server after each connect, on a thread of the worker.
    `interceptors` are called around each run of a handler, the first outermost: `def intercept(context, next): return
    next(context)`. They may replace `context.payload` and the result, a Payload, and raise to fail the attempt.

        worker = Worker(client, "resizer", slots=4)

        @worker.handler("resize")
        def resize(context: Context, image: Image) -> Thumbnail: ...

        worker.run()

    If the connection breaks, the worker reconnects and continues its attempts. If their leases expire before that, it
    cancels them, because the server assigns their jobs to other workers. The worker uses the address and options of the
    client, not its connection.
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
        interceptors: Sequence[HandlerInterceptor] = (),
    ) -> None:
        around = checked(interceptors, "Worker", is_async=False)
        self._config = WorkerConfig(
            client.access, client.options, name, queues, slots, drain_timeout, on_connect, around
        )
        self._session: Session | None = None
        self._lock = threading.Lock()

    def handler(self, kind: str, *, input_type: Any = None) -> Callable[[Function], Function]:
        """Registers a function as the handler of a kind. It takes the context, and the input if it has a second
        parameter.

        The input is decoded as the annotation of the parameter, or as `input_type`: a dataclass, a TypedDict, a
        pydantic model, a plain type, bytes, Payload. An input that does not match fails the job with BAD_PAYLOAD and
        names the field. The returned value is encoded like the input of `Client.submit`. An exception fails the
        attempt; it is retryable unless it is a PermanentError.
        """

        def add(function: Function) -> Function:
            handler = Handler.of(function, input_type)
            if handler.is_async:
                raise TypeError(f"the handler of {kind!r} is a coroutine: use AsyncWorker")
            self._config.add(kind, handler)
            return function

        return add

    def start(self) -> None:
        """Starts the threads that connect. The first connection is retried like any other."""
        self._prepare().start()

    def run(self, *, signals: bool = True) -> None:
        """Runs until the worker is drained by SIGTERM, SIGINT, `drain`, `stop` or an operator.

        The first signal drains it, the second stops it immediately. Signals are handled in the main thread only. Raises
        InvalidRequest, Unauthenticated or another permanent error if the server rejects the worker.
        """
        session = self._prepare()
        is_main = threading.current_thread() is threading.main_thread()
        with self._drain_on_signals(session) if signals and is_main else nothing():
            session.start()
            self.wait()

    def wait(self, timeout: Span | None = None) -> bool:
        """Waits until the worker has ended. Returns False after a timeout. Raises as `run`."""
        session = self._started()
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        while not session.ended.wait(
            SIGNAL_LATENCY if until is None else min(SIGNAL_LATENCY, until - time.monotonic())
        ):
            if until is not None and time.monotonic() >= until:
                return False
        if session.fatal_error is not None:
            raise session.fatal_error
        return True

    def wait_connected(self, timeout: Span | None = None) -> bool:
        """Waits until the worker is connected. Returns False after a timeout."""
        return self._started().connected.wait(None if timeout is None else seconds(timeout))

    def drain(self, within: Span = DRAIN_TIMEOUT) -> None:
        """Drains the worker: accepts no new jobs, waits for running attempts, releases the rest after `within`, and
        ends. A released attempt does not count as a failure."""
        self._started().drain(seconds(within))
        self.wait()

    def stop(self) -> None:
        """Releases all attempts immediately and ends the worker. A released attempt does not count as a failure."""
        self.drain(0.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain(self._config.drain_timeout)

    def _prepare(self) -> Session:
        with self._lock:
            if self._session is not None:
                raise RuntimeError("a worker can be started only once: create a new one")
            hello = self._config.hello()
            config = self._config
            runner = config.runner()
            self._session = Session(config.access, config.options, hello, runner, config.on_connect)
            return self._session

    def _started(self) -> Session:
        if self._session is None:
            raise RuntimeError("the worker was not started: call run() or start()")
        return self._session

    @contextmanager
    def _drain_on_signals(self, session: Session) -> Generator[None]:
        received = 0

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            nonlocal received
            received += 1
            within = self._config.drain_timeout if received == 1 else 0.0
            # Not in this thread: a signal can interrupt it while it holds the lock.
            threading.Thread(target=session.drain, args=(within,), daemon=True).start()

        before: list[tuple[signal.Signals, SignalHandler]] = [
            (each, signal.signal(each, on_signal)) for each in SIGNALS
        ]
        try:
            yield
        finally:
            for each, handler in before:
                signal.signal(each, handler)


SignalHandler = Union[Callable[[int, Union[FrameType, None]], Any], int, signal.Handlers, None]


@contextmanager
def nothing() -> Generator[None]:
    yield
