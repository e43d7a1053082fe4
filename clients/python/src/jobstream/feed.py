"""Follows the state changes of all jobs (blocking). Resumes after broken and idle streams."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, cast

from typing_extensions import Self

from .backoff import HEARTBEATS_MISSED_MAX, ReconnectBackoff
from .changes import FeedItem, read_item
from .errors import JobstreamError
from .v1 import job_service_pb2
from .watch import Call, Stream

if TYPE_CHECKING:
    from .client import Client
    from .connection import Link


class Feed(Iterator[FeedItem]):
    """An iterator over the state changes of all jobs that match a filter, in order, none twice. It has no end.

    If a stream breaks, is rejected with a transient error or misses three heartbeats, the feed resumes after the last
    cursor. Changes that the server does not retain are one FeedGap. Iterating raises Unavailable if the server was
    unavailable for `patience` seconds. `close` ends the feed from any thread.
    """

    def __init__(
        self, client: Client, request: job_service_pb2.WatchJobsRequest | None, after_cursor: str, heartbeat: float
    ) -> None:
        self._closed = threading.Event()
        self._stream: Stream | None = None
        self._cursor = after_cursor
        self._reconnect = ReconnectBackoff(client.options)
        self._client, self._request, self._heartbeat = client, request, heartbeat

    @property
    def cursor(self) -> str:
        """The cursor after the last message. Another feed can resume after it. Empty before the first message."""
        return self._cursor

    def __next__(self) -> FeedItem:
        while self._request is not None and not self._closed.is_set():
            try:
                message = self._message(self._request)
            except JobstreamError as error:
                self._drop()
                if self._closed.is_set():
                    break
                try:
                    pause = self._reconnect.pause(error)
                except JobstreamError:
                    self._closed.set()
                    raise
                self._closed.wait(pause)
                continue
            self._reconnect.connected()
            self._cursor = self._request.after_cursor = message.cursor
            if (item := read_item(message)) is not None:
                return item
        self._drop()
        raise StopIteration

    def _message(self, request: job_service_pb2.WatchJobsRequest) -> job_service_pb2.WatchJobsResponse:
        """The next message. Opens a stream if there is none."""
        if self._stream is None:

            def begin(link: Link) -> Call:
                return cast("Call", link.jobs.WatchJobs(request))

            self._stream = Stream(self._client, self._heartbeat * HEARTBEATS_MISSED_MAX, begin)
            if self._closed.is_set():
                self._stream.cancel()
        # The server ends a feed only with an error. A proxy closed one that ends without.
        message = self._stream.next("the stream ended")
        return cast("job_service_pb2.WatchJobsResponse", message)

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(gracefully=False)

    def close(self) -> None:
        """Ends the feed. The iterator stops."""
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
