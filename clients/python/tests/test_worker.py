"""Tests the worker against a real server: types, cancellation, panics, reconnects, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from dataclasses import dataclass

import pytest
from conftest import Proxy, serving

from jobstream import (
    AsyncClient,
    AsyncContext,
    AsyncWorker,
    Cancelled,
    Client,
    ClientOptions,
    Context,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    Payload,
    Progress,
    StateChange,
    Worker,
)
from jobstream.v1 import job_pb2, worker_service_pb2
from jobstream.worker.report_buffer import BUFFER_BYTES_MAX, ReportBuffer
from jobstream.worker.requests import requests


@dataclass
class Size:
    width: int


def test_handler_input_and_result_are_typed(client: Client) -> None:
    def twice(_: Context, size: Size) -> Size:
        return Size(size.width * 2)

    with serving(client, "twice", twice):
        assert client.submit("twice", Size(21), returns=Size).result(10) == Size(42)
        with pytest.raises(JobFailed, match=r"\$\.width") as caught:
            client.submit("twice", {"width": "wide"}).result(10)
        assert caught.value.failure.reason == "BAD_PAYLOAD"


def test_failure_has_type_message_and_stack_trace(client: Client) -> None:
    def breaks(_: Context) -> None:
        raise LookupError("nothing there")

    with serving(client, "breaks", breaks), pytest.raises(JobFailed) as caught:
        client.submit("breaks").result(10)
    failure = caught.value.failure
    assert (failure.type, failure.message, failure.retryable) == ("LookupError", "nothing there", True)
    assert failure.details is not None
    assert "in breaks" in failure.details.text


@pytest.mark.parametrize("error", [SystemExit("out"), KeyboardInterrupt("stop"), GeneratorExit("odd")])
def test_base_exceptions_fail_only_their_job(client: Client, error: BaseException) -> None:
    def breaks(context: Context) -> str:
        if context.payload.body == "null":
            raise error
        return "alive"

    with serving(client, "worst", breaks, slots=1):
        with pytest.raises(JobFailed) as caught:
            client.submit("worst", None).result(10)
        assert caught.value.failure.reason == "PANIC"
        assert client.submit("worst", 1).result(10) == "alive"


def test_progress_has_the_units_and_their_fraction(client: Client) -> None:
    def counts(context: Context) -> None:
        context.progress_of(3, 4, "files")

    def counts_none(context: Context) -> None:
        context.progress_of(0, 0, "files")

    for kind, handler, fraction in (("counts", counts, 0.75), ("counts-none", counts_none, None)):
        with serving(client, kind, handler):
            (progress,) = [item for item in client.submit(kind).watch() if isinstance(item, Progress)]
        assert progress.fraction == fraction
        assert progress.unit == "files"


def test_result_without_json_encoding_is_a_permanent_failure(client: Client) -> None:
    with (
        serving(client, "odd", lambda _: object()),
        pytest.raises(JobFailed, match="cannot be encoded as JSON") as caught,
    ):
        client.submit("odd", max_attempts=3).result(10)
    assert caught.value.failure.attempt == 1


def test_error_of_a_too_large_result_names_the_limit(client: Client) -> None:
    with serving(client, "large", lambda _: b"x" * (5 << 20)), pytest.raises(JobFailed, match=r"5242880.*1048576"):
        client.submit("large").result(10)


def test_too_large_output_chunk_raises_in_the_handler(client: Client) -> None:
    def large(context: Context) -> str:
        with pytest.raises(InvalidRequest, match="1048576"):
            context.output(b"x" * (2 << 20))
        return "done"

    with serving(client, "chunk", large):
        assert client.submit("chunk").result(10) == "done"


def test_cancel_raises_where_the_handler_sleeps(client: Client) -> None:
    started, cancelled = threading.Event(), threading.Event()

    def sleeps(context: Context) -> None:
        started.set()
        try:
            context.sleep(60)
        except Cancelled:
            cancelled.set()
            raise

    with serving(client, "sleeps", sleeps):
        job = client.submit("sleeps")
        assert started.wait(10)
        job.cancel("enough")
        assert cancelled.wait(10)
        with pytest.raises(JobCancelled) as caught:
            job.result(10)
        assert (caught.value.cancel_reason, caught.value.forced) == ("enough", False)


def test_except_exception_does_not_catch_a_cancellation(client: Client) -> None:
    started = threading.Event()

    def stubborn(context: Context) -> None:
        while True:
            try:
                started.set()
                context.sleep(60)
            except Exception:  # noqa: BLE001
                continue

    with serving(client, "stubborn", stubborn):
        job = client.submit("stubborn")
        assert started.wait(10)
        job.cancel()
        with pytest.raises(JobCancelled):
            job.result(10)


async def test_cancel_cancels_the_task_of_a_coroutine(async_client: AsyncClient) -> None:
    worker = AsyncWorker(async_client, "tests")
    started, cancelled = asyncio.Event(), asyncio.Event()

    @worker.handler("waits")
    async def waits(_: AsyncContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with worker:
        job = await async_client.submit("waits")
        await asyncio.wait_for(started.wait(), 10)
        await job.cancel()
        await asyncio.wait_for(cancelled.wait(), 10)
        with pytest.raises(JobCancelled):
            await job.result(10)


async def test_coroutines_and_functions_side_by_side(async_client: AsyncClient) -> None:
    worker = AsyncWorker(async_client, "tests", slots=8)
    loop_thread = threading.get_ident()

    @worker.handler("on-the-loop")
    async def on_the_loop(_: AsyncContext) -> bool:
        return threading.get_ident() == loop_thread

    @worker.handler("on-a-thread")
    def on_a_thread(_: Context) -> bool:
        return threading.get_ident() == loop_thread

    @worker.handler("worst-of-coroutines")
    async def worst(_: AsyncContext) -> None:
        raise SystemExit("out")

    async with worker:
        with pytest.raises(JobFailed, match="out"):
            await (await async_client.submit("worst-of-coroutines"))
        assert await (await async_client.submit("on-the-loop")) is True
        assert await (await async_client.submit("on-a-thread")) is False


async def test_cancelled_run_releases_all_attempts(async_client: AsyncClient) -> None:
    worker = AsyncWorker(async_client, "tests")
    started = asyncio.Event()

    @worker.handler("held")
    async def held(_: AsyncContext) -> None:
        started.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(worker.run(signals=False))
    job = await async_client.submit("held")
    await asyncio.wait_for(started.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await job.state() == "QUEUED"
    await job.cancel()


def test_attempt_continues_after_a_reconnect(client: Client, proxy: Proxy) -> None:
    started, proceed, attempts = threading.Event(), threading.Event(), []
    connections = threading.Semaphore(0)

    def holds(context: Context) -> str:
        attempts.append(context.attempt)
        started.set()
        proceed.wait(30)
        return "done"

    worker = Worker(Client(proxy.address), "tests", on_connect=lambda _: connections.release())
    worker.handler("holds")(holds)
    with worker:
        job = client.submit("holds")
        assert connections.acquire(timeout=10)
        assert started.wait(10)
        assert any(isinstance(item, StateChange) and item.state == "RUNNING" for item in job.watch())
        proxy.cut()
        assert connections.acquire(timeout=10)
        proceed.set()
        assert job.result(20) == "done"
        worker.stop()
    assert attempts == [1]


def test_signal_drains_run_and_signal_handlers_are_restored(client: Client) -> None:
    worker = Worker(client, "tests")

    @worker.handler("signals")
    def signals(_: Context) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return "finished"

    job = client.submit("signals")
    before = signal.getsignal(signal.SIGTERM)
    worker.run()
    assert signal.getsignal(signal.SIGTERM) is before
    assert job.result(10) == "finished"


async def test_signal_drains_an_asyncio_run(async_client: AsyncClient) -> None:
    worker = AsyncWorker(async_client, "tests")

    @worker.handler("signals-the-loop")
    async def signals(_: AsyncContext) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return "finished"

    job = await async_client.submit("signals-the-loop")
    await asyncio.wait_for(worker.run(), 20)
    assert await job == "finished"


def test_rejected_worker_raises_the_error_of_the_server(client: Client) -> None:
    worker = Worker(client, "no spaces here")
    worker.handler("any")(lambda _: None)
    with pytest.raises(InvalidRequest, match="name"):
        worker.run()


def test_invalid_handlers_and_options_are_rejected_before_the_start(client: Client) -> None:
    worker = Worker(client, "tests")

    async def coroutine(_: Context) -> None: ...

    with pytest.raises(TypeError, match="AsyncWorker"):
        worker.handler("a")(coroutine)
    with pytest.raises(TypeError, match=r"\(context, input\)"):
        worker.handler("b")(lambda: None)
    with pytest.raises(ValueError, match="no handlers"):
        worker.run()
    with pytest.raises(ValueError, match="slots is 0"):
        Worker(client, "tests", slots=0)


def test_full_buffer_blocks_output_and_counts_dropped_logs() -> None:
    buffer = ReportBuffer(1)
    buffer.begin("lease")
    chunk = job_pb2.Output(channel="x" * BUFFER_BYTES_MAX)
    assert buffer.try_output("lease", chunk)
    assert not buffer.try_output("lease", chunk)
    buffer.log("lease", job_pb2.LOG_LEVEL_INFO, "dropped")
    free_space = threading.Event()
    buffer.on_free_space(free_space.set)
    assert not free_space.is_set()
    buffer.acknowledge(1)
    assert free_space.is_set()
    buffer.log("lease", job_pb2.LOG_LEVEL_INFO, "buffered")
    assert [entry.report.log.text for entry in buffer.reports] == [
        "1 log lines were dropped here: the send buffer was full",
        "buffered",
    ]


def test_messages_of_a_hundred_thousand_leases_fit_the_receive_limit() -> None:
    buffer = ReportBuffer(100_000)
    hello = worker_service_pb2.Hello()
    stream = requests(buffer, hello)
    assert next(stream).ByteSize() < 4 << 20
    leases = [f"{number:036}" for number in range(100_000)]
    welcome = worker_service_pb2.Welcome(payload_bytes_max=1 << 20)
    welcome.lease.seconds = 30
    buffer.welcome(welcome)
    for lease in leases:
        buffer.begin(lease)
    buffer.request_heartbeat()
    chunk = job_pb2.Output(payload=Payload.from_bytes(b"x" * (1 << 20)).to_proto())
    assert buffer.try_output(leases[0], chunk)
    buffer.finish_stream()
    sent = list(stream)
    assert max(request.ByteSize() for request in sent) < (1 << 20) + 4096
    assert [lease for request in sent for lease in request.heartbeat.lease_ids] == leases
    assert [lease for request in sent for lease in request.accepted_lease_ids] == leases
    assert [report.lease_id for request in sent for report in request.reports] == leases[:1]


def test_hello_has_at_most_100000_held_leases() -> None:
    buffer = ReportBuffer(1)
    for number in range(100_001):
        buffer.begin(f"{number:036}")
    hello = worker_service_pb2.Hello()
    buffer.begin_stream(hello)
    assert len(hello.held_lease_ids) == 100_000


def test_hello_has_the_receive_limit_of_the_worker() -> None:
    client = Client("127.0.0.1:1", ClientOptions(message_bytes_max=1 << 20))
    worker = Worker(client, "reader")
    worker.handler("kind")(lambda _: None)
    assert worker._config.hello().message_bytes_max == 1 << 20
    assert ClientOptions().message_bytes_max == 16 << 20


def test_exceptions_of_callback_and_log_handler_do_not_end_the_worker(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("jobstream.worker.logs.log.handle", broken)
    monkeypatch.setattr("jobstream.worker.logs.log.isEnabledFor", lambda _: True)
    worker = Worker(client, "tests", on_connect=broken)
    worker.handler("unheard")(lambda _: "done")
    with worker:
        assert client.run("unheard", wait=20) == "done"


def test_attempt_that_cannot_start_a_thread_is_released(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    failures = iter([True])

    def fail_once(thread: threading.Thread) -> None:
        if thread.name == "jobstream-scarce" and next(failures, False):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail_once)
    with serving(client, "scarce", lambda context: context.job_id):
        assert client.run("scarce", wait=20)
    assert next(failures, None) is None
