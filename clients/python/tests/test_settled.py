"""Tests what a handler learns of the end of its attempt."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator

import grpc
import pytest
from conftest import Proxy, serving
from google.protobuf import duration_pb2
from scripted import assignment, serving_workers

from jobstream import (
    AsyncClient,
    AsyncContext,
    AsyncWorker,
    BaseContext,
    Client,
    Context,
    JobCancelled,
    JobFailed,
    JobstreamError,
    Payload,
    PermanentError,
    Unavailable,
    Worker,
)
from jobstream.v1 import worker_service_pb2
from jobstream.v1.worker_service_pb2_grpc import WorkerServiceServicer
from jobstream.worker.context import AttemptInfo
from jobstream.worker.final_report import FinalReport, release
from jobstream.worker.report_buffer import ReportBuffer
from jobstream.worker.runner import TaskContext

Outcomes = queue.SimpleQueue[tuple[str, JobstreamError | None]]


def records(outcomes: Outcomes, name: str) -> Callable[[JobstreamError | None], None]:
    return lambda error: outcomes.put((name, error))


def test_callbacks_run_in_order_once_the_end_is_acknowledged(client: Client) -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    threads: list[str] = []

    def around(context: Context, next: Callable[[Context], Payload]) -> Payload:
        context.on_settled(records(outcomes, "before"))
        result = next(context)
        context.on_settled(records(outcomes, "after"))
        context.on_settled(lambda _: threads.append(threading.current_thread().name))
        return result

    def settles(context: Context, fails: bool) -> str:
        context.on_settled(records(outcomes, "handler"))
        if fails:
            raise PermanentError("no")
        return "done"

    worker = Worker(client, "tests", interceptors=[around])
    worker.handler("settles")(settles)
    with worker:
        assert client.run("settles", False, wait=10) == "done"
        assert [outcomes.get(timeout=10) for _ in range(3)] == [("before", None), ("handler", None), ("after", None)]
        with pytest.raises(JobFailed):
            client.run("settles", True, wait=10)
        assert [outcomes.get(timeout=10) for _ in range(2)] == [("before", None), ("handler", None)]
    assert threads == ["jobstream-worker-keep_connected"]
    assert outcomes.empty()


@pytest.mark.parametrize("kind", ["settles-coroutine", "settles-function"])
async def test_callbacks_of_coroutines_run_in_the_event_loop(async_client: AsyncClient, kind: str) -> None:
    called: list[tuple[JobstreamError | None, bool]] = []
    loop_thread = threading.get_ident()

    def settled(error: JobstreamError | None) -> None:
        called.append((error, threading.get_ident() == loop_thread))

    async def around(context: BaseContext, next: Callable[[BaseContext], Awaitable[Payload]]) -> Payload:
        context.on_settled(settled)
        return await next(context)

    async def coroutine(context: AsyncContext) -> None:
        context.on_settled(settled)

    def function(context: Context) -> None:
        context.on_settled(settled)

    worker = AsyncWorker(async_client, "tests", interceptors=[around])
    worker.handler(kind)(coroutine if kind == "settles-coroutine" else function)
    async with worker:
        await async_client.run(kind, wait=10)
    # Before the end of the worker, which waits for acknowledgements.
    assert called == [(None, kind == "settles-coroutine")] * 2


def test_exception_of_a_callback_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    outcomes: Outcomes = queue.SimpleQueue()

    def broken(_: JobstreamError | None) -> None:
        raise SystemExit("broken")

    def settles(context: Context) -> str:
        context.on_settled(broken)
        context.on_settled(records(outcomes, "next"))
        return "done"

    with caplog.at_level(logging.WARNING, "jobstream.worker"), serving(client, "settles-broken", settles):
        assert client.run("settles-broken", wait=10) == "done"
        assert outcomes.get(timeout=10) == ("next", None)
        assert client.run("settles-broken", wait=10) == "done"
        assert outcomes.get(timeout=10) == ("next", None)
    messages = [record.getMessage() for record in caplog.records if record.name == "jobstream.worker"]
    assert [message.partition(", attempt 1, ")[2] for message in messages] == ["raised: SystemExit('broken')"] * 2


def test_callback_of_a_closed_event_loop_is_logged_and_not_called(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    loop, buffer = asyncio.new_event_loop(), ReportBuffer(1)
    context = TaskContext(AttemptInfo.read(assignment("a", "settles")), buffer, loop)
    buffer.begin("a")
    context.on_settled(records(outcomes, "a"))
    buffer.end("a", FinalReport())
    loop.close()
    with caplog.at_level(logging.WARNING, "jobstream.worker"):
        buffer.acknowledge(1)
    assert caplog.messages == [
        "on_settled of job a, attempt 1, is not called: its event loop is closed: end the worker first"
    ]
    assert outcomes.empty()


def test_callback_is_registered_only_until_the_handler_has_returned(client: Client) -> None:
    contexts: list[Context] = []
    with serving(client, "settles-late", contexts.append):
        client.run("settles-late", wait=10)
        with pytest.raises(RuntimeError, match="before the handler returns"):
            contexts[0].on_settled(lambda _: None)


def test_cancelled_handler_that_does_not_stop_has_lost_its_lease(client: Client) -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    started, proceed = threading.Event(), threading.Event()

    def stubborn(context: Context) -> None:
        context.on_settled(records(outcomes, "stubborn"))
        started.set()
        assert proceed.wait(10)

    with serving(client, "settles-stubborn", stubborn):
        job = client.submit("settles-stubborn")
        assert started.wait(10)
        job.cancel(grace=0)
        with pytest.raises(JobCancelled):
            job.result(10)
        assert outcomes.empty(), "the handler has not returned"
        proceed.set()
        name, error = outcomes.get(timeout=10)
    assert error is not None
    assert (name, error.reason, error.code) == ("stubborn", "LEASE_LOST", "FAILED_PRECONDITION")


def test_end_is_unknown_if_the_worker_ends_before_the_acknowledgement(client: Client, proxy: Proxy) -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    started, proceed = threading.Event(), threading.Event()

    def settles(context: Context) -> None:
        context.on_settled(records(outcomes, "settles"))
        started.set()
        assert proceed.wait(10)

    worker = Worker(Client(proxy.address), "tests")
    worker.handler("settles-unknown")(settles)
    worker.start()
    job = client.submit("settles-unknown")
    assert started.wait(10)
    proxy.close()
    proceed.set()
    worker.drain(10)
    # Before the end of the worker.
    name, error = outcomes.get_nowait()
    assert (name, type(error)) == ("settles", Unavailable)
    assert outcomes.empty()
    job.cancel()


def test_handler_that_outlives_the_drain_has_lost_its_lease(client: Client) -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    started, proceed = threading.Event(), threading.Event()

    def outlives(context: Context) -> str:
        context.on_settled(records(outcomes, "outlives"))
        started.set()
        assert proceed.wait(10)
        return "a result that the server never gets"

    with serving(client, "settles-outlives", outlives) as worker:
        job = client.submit("settles-outlives")
        assert started.wait(10)
        worker.stop()
        name, error = outcomes.get_nowait()
        assert error is not None
        assert (name, error.reason) == ("outlives", "LEASE_LOST")
        proceed.set()
    job.cancel()
    assert outcomes.empty()


def welcome(acknowledged: int, *standing: str, unknown: int = 0) -> worker_service_pb2.Welcome:
    lease = duration_pb2.Duration(seconds=30)
    return worker_service_pb2.Welcome(
        payload_bytes_max=1 << 20,
        lease=lease,
        acked_report_sequence=acknowledged,
        standing_lease_ids=standing,
        unknown_report_sequence=unknown,
    )


def ended(outcomes: Outcomes, *leases: str, runs: str = "") -> ReportBuffer:
    """A buffer with the ends of attempts, numbered from 1, and a running attempt."""
    buffer = ReportBuffer(4)
    for lease in filter(None, (*leases, runs)):
        buffer.begin(lease)
        buffer.on_settled(lease, records(outcomes, lease))
    for lease in leases:
        buffer.end(lease, FinalReport())
    return buffer


def reasons(outcomes: Outcomes) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    while not outcomes.empty():
        name, error = outcomes.get()
        assert name not in found, "it is called once"
        found[name] = error.reason if error else None
    return found


def test_refused_end_is_settled_with_the_error_of_the_server() -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    buffer = ended(outcomes, "a", "b", "c")
    refused = JobstreamError("refused")
    refused.reason = "LEASE_LOST"
    buffer.acknowledge(2, {2: refused})
    assert reasons(outcomes) == {"a": None, "b": "LEASE_LOST"}
    buffer.acknowledge(3)
    assert reasons(outcomes) == {"c": None}


def test_reconnect_settles_ends_by_its_welcome() -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    buffer = ended(outcomes, "a", "b", "c", runs="d")
    buffer.welcome(welcome(1, "c"))
    assert reasons(outcomes) == {"a": None, "b": "LEASE_LOST"}
    buffer.end("d", release())
    assert reasons(outcomes) == {"d": "LEASE_LOST"}
    buffer.acknowledge(3)
    assert reasons(outcomes) == {"c": None}


FAILED_PRECONDITION = 9


class RefusingServer(WorkerServiceServicer):
    """Assigns the attempts a, b and c, whose ends are 1, 2 and 3 in some order. It refuses that of b and does not know
    about the first of the others. The connection breaks before its acknowledgement."""

    def __init__(self) -> None:
        self.reports: list[worker_service_pb2.AttemptReport] = []
        self.is_first = True

    def Work(  # noqa: N802  The name of the method in the API.
        self, request_iterator: Iterator[worker_service_pb2.WorkRequest], context: grpc.ServicerContext
    ) -> Iterator[worker_service_pb2.WorkResponse]:
        hello = next(request_iterator).hello
        if self.is_first:
            self.is_first = False
            assignments = [assignment(lease, "settles") for lease in "abc"]
            yield worker_service_pb2.WorkResponse(welcome=welcome(0), assignments=assignments)
            while len(self.reports) < 3:
                self.reports += next(request_iterator).reports
            context.abort(grpc.StatusCode.UNAVAILABLE, "cut before the acknowledgement")
        assert sorted(hello.held_lease_ids) == ["a", "b", "c"]
        answer = welcome(3)
        answer.refusals.add(report_sequence=self.number("b"), lease_id="b").error.code = FAILED_PRECONDITION
        answer.unknown_report_sequence = min(self.number("a"), self.number("c"))
        yield worker_service_pb2.WorkResponse(welcome=answer)
        for _ in request_iterator:
            pass

    def number(self, lease: str) -> int:
        return next(report.report_sequence for report in self.reports if report.lease_id == lease)


@pytest.fixture
def refusing() -> Iterator[tuple[RefusingServer, str]]:
    servicer = RefusingServer()
    with serving_workers(servicer) as address:
        yield servicer, address


def check_refused(servicer: RefusingServer, outcomes: Outcomes) -> None:
    settled = dict(outcomes.get(timeout=10) for _ in "abc")
    found = {servicer.number(name): error.code if error else None for name, error in settled.items()}
    unknown, recorded = sorted({1, 2, 3} - {servicer.number("b")})
    assert found == {servicer.number("b"): "FAILED_PRECONDITION", unknown: "UNAVAILABLE", recorded: None}
    assert outcomes.empty()


def test_refusal_that_was_lost_with_the_connection_is_applied_at_the_reconnect(
    refusing: tuple[RefusingServer, str],
) -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    servicer, address = refusing
    with (
        Client(address) as client,
        serving(client, "settles", lambda context: context.on_settled(records(outcomes, context.job_id))),
    ):
        check_refused(servicer, outcomes)


async def test_refusal_that_was_lost_is_applied_to_coroutines(refusing: tuple[RefusingServer, str]) -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    servicer, address = refusing

    async def settles(context: AsyncContext) -> None:
        context.on_settled(records(outcomes, context.job_id))

    async with AsyncClient(address) as client:
        worker = AsyncWorker(client, "tests")
        worker.handler("settles")(settles)
        async with worker:
            await asyncio.to_thread(check_refused, servicer, outcomes)


def test_reconnect_does_not_settle_ends_that_the_server_may_have_refused_as_recorded() -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    buffer = ended(outcomes, "a", "b", "c", "d")
    refused = JobstreamError("refused")
    refused.reason = "LEASE_LOST"
    buffer.welcome(welcome(3, "d", unknown=2), {1: refused})
    assert reasons(outcomes) == {"a": "LEASE_LOST", "b": "", "c": None}
    buffer.acknowledge(4)
    assert reasons(outcomes) == {"d": None}


def test_ends_are_unknown_to_a_server_that_does_not_know_the_worker() -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    buffer = ended(outcomes, "a", runs="b")
    buffer.welcome(welcome(0, unknown=(1 << 63) - 1))
    assert reasons(outcomes) == {"a": ""}
    buffer.end("b", release())
    assert reasons(outcomes) == {"b": "LEASE_LOST"}


def test_revoked_lease_is_lost_and_its_slot_is_freed() -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    buffer = ended(outcomes, runs="a")
    buffer.revoke("a")
    buffer.end("a", release())
    assert reasons(outcomes) == {"a": "LEASE_LOST"}
    assert [entry.report.lease_id for entry in buffer.reports] == ["a"]


def test_end_after_that_of_the_worker_is_unknown() -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    buffer = ended(outcomes, "a", runs="b")
    buffer.close()
    assert reasons(outcomes) == {"a": ""}
    buffer.end("b", release())
    assert reasons(outcomes) == {"b": ""}
