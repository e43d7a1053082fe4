"""Watches the events of a job until it ends (blocking). Resumes after broken and idle streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import grpc
from typing_extensions import Self

from . import boot
from .backoff import HEARTBEATS_MISSED_MAX, ReconnectBackoff
from .errors import JobstreamError, unavailable
from .events import Cursor, Message, WatchItem

if TYPE_CHECKING:
    from .client import Client
    from .connection import Link


class Call(Protocol):
    """A response stream that can be cancelled."""

    def __next__(self) -> Message: ...
    def cancel(self) -> object: ...


CLOSE_TIMEOUT = 1.0
"""Longest time in seconds for a stream to close after the final event."""


class Watch(Iterator[WatchItem]):
    """An iterator over the events of one job, in order, each once. It ends after the final event.

    If a stream breaks, is rejected with a transient error or misses three heartbeats, the watch resumes after the last
    sequence. Iterating raises JobNotFound, ServerRestarted, ResultExpired; Unavailable if the server was unavailable
    for `patience` seconds. `close` ends the watch from any thread. The job continues.
    """

    def __init__(
        self, client: Client, job_id: str, accepted_by: boot.Boot | None, after_sequence: int, heartbeat: float
    ) -> None:
        self._closed = threading.Event()
        self._stream: Stream | None = None
        self._cursor = Cursor(job_id, after_sequence, heartbeat)
        self._reconnect = ReconnectBackoff(client.options)
        self._client, self._boot = client, accepted_by

    @property
    def last_sequence(self) -> int:
        """Sequence of the last item returned. Another watch can resume after it."""
        return self._cursor.last

    def __next__(self) -> WatchItem:
        while not self._cursor.is_over and not self._closed.is_set():
            try:
                message = self._message()
            except JobstreamError as error:
                self._drop()
                if self._closed.is_set():
                    break
                converted = boot.detect_restart(self._cursor.job_id, self._boot, error)
                try:
                    pause = self._pause(converted)
                except JobstreamError:
                    self._closed.set()
                    raise
                self._closed.wait(pause)
                continue
            self._reconnect.connected()
            item = self._cursor.advance(message)
            if self._cursor.is_over:
                self._drop()
            if item is not None:
                return item
        self._drop()
        raise StopIteration

    def _begin(self, link: Link) -> Call:
        """Opens a stream."""
        return link.jobs.WatchResult(self._cursor.request())

    def _idle_timeout(self) -> float:
        """How long the stream may be idle, in seconds."""
        return self._cursor.heartbeat * HEARTBEATS_MISSED_MAX

    def _pause(self, error: JobstreamError) -> float:
        """The delay before the next stream. Raises the error if it is not transient or the retry limit is reached."""
        return self._reconnect.pause(error)

    def _message(self) -> Message:
        """The next message. Opens a stream if there is none."""
        if self._stream is None:
            self._stream = Stream(self._client, self._idle_timeout(), self._begin)
            if self._closed.is_set():
                self._stream.cancel()
        # The server closes a stream without an error only after the final event. A proxy closed one that ends before.
        return self._stream.next("the stream ended before the job ended")

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(gracefully=self._cursor.is_over)

    def close(self) -> None:
        """Ends the watch. The iterator stops."""
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
    """One stream of a watch or a feed. A thread cancels it when it is idle for too long."""

    def __init__(self, client: Client, idle_timeout: float, begin: Callable[[Link], Call]) -> None:
        self._client = client
        self._channel_use = client._connection.call()
        self._link: Link = self._channel_use.__enter__()
        self.idle_timeout = idle_timeout
        self._received = threading.Event()
        self._ended = False
        self._timed_out = False
        self._call = begin(self._link)
        threading.Thread(target=self._watch_idle, name="jobstream-watch", daemon=True).start()

    def next(self, ended: str) -> Message:
        """The next message. Raises the error of the stream; Unavailable if it timed out, or `ended` if it ended."""
        address = self._client.address.url
        try:
            message = next(self._call, None)
        except grpc.RpcError as error:
            if self._timed_out:
                self._client._connection.replace(self._link)
                raise unavailable(address, "the stream timed out") from error
            raise self._client._convert_error(error) from error
        self._received.set()
        if message is None:
            raise unavailable(address, ended)
        return message

    def cancel(self) -> None:
        self._call.cancel()

    def end(self, gracefully: bool) -> None:
        """Closes the stream. After the final event the server closes it, because a cancel would reset the HTTP/2
        stream."""
        self.idle_timeout = CLOSE_TIMEOUT
        self._received.set()
        try:
            if gracefully:
                next(self._call, None)
        except grpc.RpcError:
            pass  # The outcome was received before.
        finally:
            self._ended = True
            self._received.set()
            self._call.cancel()
            self._channel_use.__exit__(None, None, None)

    def _watch_idle(self) -> None:
        while self._received.wait(self.idle_timeout):
            if self._ended:
                return
            self._received.clear()
        self._timed_out = True
        self._call.cancel()
