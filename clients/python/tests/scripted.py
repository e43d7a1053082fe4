"""A server whose side of a worker's stream a test writes."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import duration_pb2

from jobstream.v1 import worker_service_pb2
from jobstream.v1.worker_service_pb2_grpc import WorkerServiceServicer, add_WorkerServiceServicer_to_server


@contextlib.contextmanager
def serving_workers(servicer: WorkerServiceServicer) -> Generator[str]:
    """Serves workers on a free port. Yields the address."""
    server = grpc.server(ThreadPoolExecutor())
    add_WorkerServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(None).wait(10)


def assignment(lease: str, kind: str) -> worker_service_pb2.Assignment:
    """The first attempt of a job, with the lease as its id."""
    left = duration_pb2.Duration(seconds=60)
    return worker_service_pb2.Assignment(lease_id=lease, job_id=lease, attempt=1, kind=kind, time_left=left)
