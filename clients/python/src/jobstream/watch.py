"""Follows a job's events to its end, across cut and silent streams, for code that blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import grpc
from typing_extensions import Self

from . import boot
from .backoff import HEARTBEATS_MISSED_MAX, Endurance
from .errors import JobstreamError, unavailable
from .events import Cursor, Message, WatchItem

if TYPE_CHECKING:
    from .client import Client
    from .connection import Link


class Call(Protocol):
    """A stream of messages."""

    def __next__(self) -> Message: ...
    def cancel(self) -> object: ...


CLOSE_TIMEOUT = 1.0
"""Seconds the stream may take to close after the event that ends the job."""


class Watch(Iterator[WatchItem]):
    """The events of one job, in order, none twice, none missed; it ends after the one that ends the job.

    A stream that is cut, refused for now or silent for three heartbeats is opened anew after the last sequence seen.
    Iterating raises JobNotFound, ServerRestarted, ResultExpired, and Unavailable when the server was away for all of
    `patience`. `close`, from any thread, ends it; the job goes on.
    """

    def __init__(
        self, client: Client, job_id: str, accepted_by: boot.Boot | None, after_sequence: int, heartbeat: float
    ) -> None:
        self._closed = threading.Event()
        self._stream: Stream | None = None
        self._cursor = Cursor(job_id, after_sequence, heartbeat)
        self._endurance = Endurance(client.options)
        self._client, self._boot = client, accepted_by

    @property
    def last_sequence(self) -> int:
        """Sequence of the newest item that was told: another watch can go on after it."""
        return self._cursor.last

    def __next__(self) -> WatchItem:
        while not self._cursor.is_over and not self._closed.is_set():
            try:
                message = self._message()
            except JobstreamError as error:
                self._drop()
                if self._closed.is_set():
                    break
                explained = boot.explain(self._cursor.job_id, self._boot, error)
                try:
                    pause = self._pause(explained)
                except JobstreamError:
                    self._closed.set()
                    raise
                self._closed.wait(pause)
                continue
            self._endurance.renew()
            item = self._cursor.unseen(message)
            if self._cursor.is_over:
                self._drop()
            if item is not None:
                return item
        self._drop()
        raise StopIteration

    def _begin(self, link: Link) -> Call:
        """Opens a stream."""
        return link.jobs.WatchResult(self._cursor.request())

    def _silence_max(self) -> float:
        """How long the stream at hand may be silent."""
        return self._cursor.heartbeat * HEARTBEATS_MISSED_MAX

    def _pause(self, error: JobstreamError) -> float:
        """How long to wait before the next stream; raises the error if that does not help, or for too long."""
        return self._endurance.pause(error)

    def _message(self) -> Message:
        """The next message of the stream at hand, or of a new one."""
        address = self._client.address.url
        if self._stream is None:
            self._stream = Stream(self._client, self._silence_max(), self._begin)
            if self._closed.is_set():
                self._stream.cancel()
        stream = self._stream
        try:
            message = stream.next()
        except grpc.RpcError as error:
            if stream.was_silent:
                self._client._connection.replace(stream.link)
                raise unavailable(address, "the stream fell silent") from error
            raise self._client._explain(error) from error
        if message is None:
            # The server ends a stream well only after the event that ends the job: something between us did it.
            raise unavailable(address, "the stream ended before the job")
        return message

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(well=self._cursor.is_over)

    def close(self) -> None:
        """Ends the watch: who iterates gets the end."""
        self._closed.set()
        if (stream := self._stream) is not None:
            stream.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._drop()

    def __del__(self) -> None:
        self._closed.set()
        self._drop()


class Stream:
    """One stream of a watch, given up by a thread of its own when it is silent for too long."""

    def __init__(self, client: Client, silence_max: float, begin: Callable[[Link], Call]) -> None:
        self._holding = client._connection.call()
        self.link: Link = self._holding.__enter__()
        self.silence_max = silence_max
        self._heard = threading.Event()
        self._ended = False
        self.was_silent = False
        self._call = begin(self.link)
        threading.Thread(target=self._guard, name="jobstream-watch", daemon=True).start()

    def next(self) -> Message | None:
        """The next message; None at the end of the stream."""
        message = next(self._call, None)
        self._heard.set()
        return message

    def cancel(self) -> None:
        self._call.cancel()

    def end(self, well: bool) -> None:
        """Lets the stream close by itself if it ends well: to cancel it would reset it."""
        self.silence_max = CLOSE_TIMEOUT
        self._heard.set()
        try:
            if well:
                next(self._call, None)
        except grpc.RpcError:
            pass  # The job's end is known.
        finally:
            self._ended = True
            self._heard.set()
            self._call.cancel()
            self._holding.__exit__(None, None, None)

    def _guard(self) -> None:
        while self._heard.wait(self.silence_max):
            if self._ended:
                return
            self._heard.clear()
        self.was_silent = True
        self._call.cancel()
