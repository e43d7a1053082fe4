"""Tests how a worker drains when its server shuts down."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import grpc
import pytest
from conftest import serving
from scripted import assignment, serving_workers

from jobstream import Client, Context
from jobstream.v1 import worker_service_pb2
from jobstream.v1.worker_service_pb2_grpc import WorkerServiceServicer

TIME_LEFT = 0.3


class RestartingServer(WorkerServiceServicer):
    """Assigns an attempt, announces its shutdown, breaks the connection, and assigns another attempt on the next."""

    def __init__(self) -> None:
        self.streams = 0
        self.ends: queue.SimpleQueue[worker_service_pb2.AttemptReport] = queue.SimpleQueue()

    def Work(  # noqa: N802  The name of the method in the API.
        self, request_iterator: Iterator[worker_service_pb2.WorkRequest], context: grpc.ServicerContext
    ) -> Iterator[worker_service_pb2.WorkResponse]:
        next(request_iterator)
        self.streams += 1
        welcome = worker_service_pb2.Welcome(worker_id="w", payload_bytes_max=1 << 20)
        welcome.lease.seconds, welcome.ping_interval.seconds = 30, 10
        yield worker_service_pb2.WorkResponse(welcome=welcome, assignments=[assignment(str(self.streams), "w")])
        if self.streams == 1:
            assert next(request_iterator).accepted_lease_ids
            drain = worker_service_pb2.Drain(server_shutdown=True)
            drain.time_left.FromMilliseconds(round(1000 * TIME_LEFT))
            yield worker_service_pb2.WorkResponse(drain=drain)
            context.abort(grpc.StatusCode.UNAVAILABLE, "ended early")
        for request in request_iterator:
            for report in request.reports:
                self.ends.put(report)


@pytest.fixture
def restarting() -> Iterator[tuple[RestartingServer, str]]:
    servicer = RestartingServer()
    with serving_workers(servicer) as address:
        yield servicer, address


def test_drain_of_a_server_does_not_cancel_the_attempts_of_the_next(restarting: tuple[RestartingServer, str]) -> None:
    servicer, address = restarting

    def work(context: Context) -> str:
        if context.job_id == "2":
            context.sleep(2 * TIME_LEFT)
        else:
            context.sleep(20)
        return context.job_id

    with Client(address) as client, serving(client, "w", work):
        end = servicer.ends.get(timeout=10)
    assert (end.lease_id, end.WhichOneof("news")) == ("2", "complete")
