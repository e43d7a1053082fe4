"""Submits a job and waits for its outcome in one call (asyncio). See `jobstream.run`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..backoff import HEARTBEAT, CallRetries
from ..errors import JobstreamError, unavailable
from ..events import Message
from ..outcome import read_outcome
from ..run import not_finished, not_submitted, run_cursor, run_request
from ..v1 import job_pb2
from .connection import Link
from .watch import AsyncWatch, Call

if TYPE_CHECKING:
    from .client import AsyncClient


class AsyncRun(AsyncWatch):
    """A watch whose first stream submits the job."""

    def __init__(self, client: AsyncClient, spec: job_pb2.JobSpec) -> None:
        super().__init__(client, spec.job_id, None, 0, HEARTBEAT)
        self._cursor = run_cursor(spec)
        self._spec = spec
        self._retries = CallRetries(client.options)
        self._is_submitted = False

    async def result(self, wanted: type[Any], wait: float | None) -> Any:
        """Waits until the job ends, at most `wait` seconds, and returns its result."""
        try:
            outcome = await asyncio.wait_for(self._outcome(), wait)
        except asyncio.TimeoutError as error:
            late = not_finished if self._is_submitted else not_submitted
            raise late(self._spec.job_id, wait or 0.0) from error
        return read_outcome(self._spec.job_id, outcome, wanted)

    async def _outcome(self) -> job_pb2.Outcome:
        try:
            async for _ in self:
                pass
        finally:
            self._release()
        if self._cursor.outcome is None:
            raise unavailable(self._client.address.url, "the run was closed")
        return self._cursor.outcome

    def _begin(self, link: Link) -> Call:
        if self._is_submitted:
            return super()._begin(link)
        self._boot = self._client._look_up_boot(link)
        return link.jobs.Run(run_request(self._spec, self._cursor))

    def _idle_timeout(self) -> float:
        return super()._idle_timeout() if self._is_submitted else self._retries.timeout()

    def _pause(self, error: JobstreamError) -> float:
        if self._client._connection.is_closed:
            raise error
        return super()._pause(error) if self._is_submitted else self._retries.pause(error)

    async def _message(self) -> Message:
        if self._client._connection.is_closed:
            raise unavailable(self._client.address.url, "the client was closed")
        message = await super()._message()
        self._is_submitted = True
        return message
