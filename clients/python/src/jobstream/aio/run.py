"""Submits a job and waits for its outcome in one call (asyncio). See `jobstream.run`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

from ..backoff import HEARTBEAT, CallRetries
from ..errors import JobstreamError, not_finished, unavailable
from ..events import Message
from ..interceptors import JobSpec, Submitted, chained, not_sent
from ..outcome import read_outcome
from ..run import not_submitted, run_cursor, run_request
from ..v1 import job_pb2
from .connection import Link
from .watch import AsyncWatch, Call

if TYPE_CHECKING:
    from .client import AsyncClient

Answer = TypeVar("Answer")


async def run_job(client: AsyncClient, spec: JobSpec, wait: float | None, wanted: type[Any]) -> Any:
    """Submits a job through the interceptors of the client and waits for its result."""
    runs: list[AsyncRun] = []

    async def send(job: JobSpec) -> Submitted:
        runs.append(AsyncRun(client, job.proto, wait))
        return await runs[-1].submit()

    try:
        with client._tracing.submit(spec):
            await chained(client._interceptors, send)(spec)
        if not runs:
            raise not_sent(spec.job_id)
        return await runs[-1].result(wanted)
    finally:
        for each in runs:
            each._drop()


class AsyncRun(AsyncWatch):
    """A watch whose first stream submits the job."""

    def __init__(self, client: AsyncClient, spec: job_pb2.JobSpec, wait: float | None) -> None:
        super().__init__(client, spec.job_id, None, 0, HEARTBEAT)
        self._cursor = run_cursor(spec)
        self._spec = spec
        self._wait = wait
        self._until = float("inf") if wait is None else time.monotonic() + wait
        self._retries = CallRetries(client.options)
        self._is_submitted = False

    async def submit(self) -> Submitted:
        """Waits until the server has accepted the job."""
        await self._limited(self._first())
        return Submitted(self._spec.job_id)

    async def _first(self) -> None:
        await anext(self, None)

    async def result(self, wanted: type[Any]) -> Any:
        """Waits until the job ends and returns its result."""
        return read_outcome(self._spec.job_id, await self._limited(self._outcome()), wanted)

    async def _limited(self, step: Awaitable[Answer]) -> Answer:
        """Waits for a step until the time limit of the run."""
        try:
            return await asyncio.wait_for(step, None if self._wait is None else self._until - time.monotonic())
        except asyncio.TimeoutError as error:
            late = not_finished if self._is_submitted else not_submitted
            raise late(self._spec.job_id, self._wait or 0.0) from error

    async def _outcome(self) -> job_pb2.Outcome:
        async for _ in self:
            pass
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
