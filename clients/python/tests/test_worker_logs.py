"""Tests the log lines of workers: failed attempts, without payloads and at a limited rate, connections and drains."""

from __future__ import annotations

import re
import threading
import time

import pydantic
import pytest
from conftest import Proxy, serving

from jobstream import (
    AsyncClient,
    AsyncContext,
    AsyncWorker,
    Client,
    Context,
    JobCancelled,
    JobFailed,
    RetryPolicy,
    Worker,
)
from jobstream.v1 import job_pb2, worker_service_pb2
from jobstream.worker.context import AttemptInfo, BaseContext
from jobstream.worker.logs import FAILURES_PER_SECOND, FailureLog
from jobstream.worker.report_buffer import ReportBuffer

LEFT_OUT = re.compile("attempt failed: ([0-9]+) more, left out of the log")


class Quoting(pydantic.BaseModel):
    """Its validation error quotes the input."""

    count: int


def failures_logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_failed_attempt_is_logged_in_one_line_with_its_stack(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(_: Context) -> None:
        raise LookupError("nothing\nthere")

    with serving(client, "breaks-logged", breaks):
        job = client.submit("breaks-logged", "secret input", retry=RetryPolicy(2, 0.01))
        with pytest.raises(JobFailed):
            job.result(10)
    place = f"job {job.id}, kind breaks-logged, queue default"
    assert failures_logged(caplog) == [
        f"attempt failed: {place}, attempt {attempt}: LookupError: nothing there" for attempt in (1, 2)
    ]
    record = caplog.records[0]
    fields = {name: record.__dict__[name] for name in ("job_id", "kind", "queue", "attempt", "error_type", "error")}
    assert list(fields.values()) == [job.id, "breaks-logged", "default", 1, "LookupError", "nothing there"]
    assert "in breaks" in caplog.text
    assert "secret" not in caplog.text


async def test_failed_attempt_of_a_coroutine_is_logged(
    async_client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    worker = AsyncWorker(async_client, "tests")

    @worker.handler("breaks-async")
    async def breaks(_: AsyncContext) -> None:
        raise LookupError("nothing there")

    async with worker:
        job = await async_client.submit("breaks-async")
        with pytest.raises(JobFailed):
            await job
    line = f"attempt failed: job {job.id}, kind breaks-async, queue default, attempt 1: LookupError: nothing there"
    assert failures_logged(caplog) == [line]
    assert "in breaks" in caplog.text


def test_log_of_a_bad_payload_does_not_quote_it(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    serves = serving(client, "quotes", lambda _, size: size, input_type=Quoting)
    with serves, pytest.raises(JobFailed, match="secret"):
        client.submit("quotes", {"count": "secret"}).result(10)
    (line,) = failures_logged(caplog)
    assert "BAD_PAYLOAD" in line
    assert "secret" not in caplog.text


def test_stream_of_failures_is_logged_at_a_limited_rate(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(_: Context) -> None:
        raise LookupError("nothing there")

    jobs = 40
    began = time.monotonic()
    with serving(client, "breaks-often", breaks):
        for job in [client.submit("breaks-often") for _ in range(jobs)]:
            with pytest.raises(JobFailed):
                job.result(10)
    seconds = time.monotonic() - began
    lines = failures_logged(caplog)
    counts = [int(found[1]) for line in lines if (found := LEFT_OUT.fullmatch(line))]
    logged = len(lines) - len(counts)
    assert logged + sum(counts) == jobs
    assert logged <= FAILURES_PER_SECOND * (1 + seconds)


def test_left_out_failures_are_counted_when_their_second_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    failures = FailureLog(lambda: now)
    context = BaseContext(AttemptInfo.read(worker_service_pb2.Assignment(job_id="a")), ReportBuffer(1))
    failure = job_pb2.Failure(reason=job_pb2.FAILURE_REASON_HANDLER, message="broken")
    for _ in range(FAILURES_PER_SECOND + 3):
        failures.add(context, failure, None)
    failures.flush()
    assert len(failures_logged(caplog)) == FAILURES_PER_SECOND
    now = 101.0
    failures.flush()
    failures.flush()
    failures.add(context, failure, None)
    first, count, last = failures_logged(caplog)[-3:]
    assert first == last == "attempt failed: job a, kind , queue , attempt 0: HANDLER: broken"
    assert count == "attempt failed: 3 more, left out of the log"


def test_cancelled_attempt_is_not_logged_as_failed(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    started = threading.Event()

    def sleeps(context: Context) -> None:
        started.set()
        context.sleep(60)

    with serving(client, "sleeps-unlogged", sleeps):
        job = client.submit("sleeps-unlogged")
        assert started.wait(10)
        job.cancel()
        with pytest.raises(JobCancelled):
            job.result(10)
    assert failures_logged(caplog) == []


def test_lost_connection_and_drain_are_logged(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "jobstream.worker")
    connections = threading.Semaphore(0)
    worker = Worker(Client(proxy.address), "logged", on_connect=lambda _: connections.release())
    worker.handler("any")(lambda _: None)
    with worker:
        assert connections.acquire(timeout=10)
        proxy.cut()
        assert connections.acquire(timeout=10)
    (lost,) = failures_logged(caplog)
    assert lost.startswith("worker logged is not connected, next try in ")
    assert [record.getMessage() for record in caplog.records][-1] == "worker logged is drained"
