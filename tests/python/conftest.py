"""A real server on a free port, and stubs generated from proto/ as a user would."""

import contextlib
import importlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import grpc
import grpc_tools
import pytest
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 30
"""Seconds after which waiting for anything has failed."""


@pytest.fixture(scope="session")
def api(tmp_path_factory):
    """The generated modules: payload, job, job_service, admin_service, and their stubs."""
    stubs = tmp_path_factory.mktemp("stubs")
    protos = sorted(str(path) for path in (ROOT / "proto" / "jobstream").rglob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    arguments = [f"-I{ROOT / 'proto'}", f"-I{well_known}", f"--python_out={stubs}", f"--grpc_python_out={stubs}"]
    assert protoc.main(["protoc", *arguments, *protos]) == 0
    sys.path.insert(0, str(stubs))
    names = ["payload_pb2", "job_pb2", "job_service_pb2", "job_service_pb2_grpc", "admin_service_pb2"]
    names += ["admin_service_pb2_grpc", "worker_service_pb2", "worker_service_pb2_grpc"]
    return SimpleNamespace(**{name: importlib.import_module(f"jobstream.v1.{name}") for name in names})


@pytest.fixture(scope="session")
def address():
    """Where a server of this test run listens."""
    with serving() as server:
        yield server.address


@contextlib.contextmanager
def serving(*flags):
    """A server with these flags: the binary itself chooses the port and prints it."""
    command = [os.environ["JOBSTREAM_BIN"], "dev", "--listen", "127.0.0.1:0", *flags]
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = queue.SimpleQueue()
    threading.Thread(target=forward, args=(server.stdout, lines), daemon=True).start()
    try:
        yield SimpleNamespace(address=printed_address(lines), process=server)
    finally:
        server.send_signal(signal.SIGCONT)
        server.terminate()
        try:
            server.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            server.kill()
            raise


def forward(output, lines):
    """Reads to the end, so that the server never waits for us to read."""
    for line in output:
        lines.put(line)
    lines.put(None)


def printed_address(lines):
    said = []
    while (line := lines.get(timeout=TIMEOUT)) is not None:
        said.append(line)
        if found := re.search(r"127\.0\.0\.1:([1-9]\d*)", line):
            return found.group(0)
    raise AssertionError("the server ended without an address: " + "".join(said))


@pytest.fixture(scope="session")
def channel(address):
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(TIMEOUT)
        yield channel


@pytest.fixture(scope="session")
def jobs(api, channel):
    return api.job_service_pb2_grpc.JobServiceStub(channel)


@pytest.fixture(scope="session")
def admin(api, channel):
    return api.admin_service_pb2_grpc.AdminServiceStub(channel)
