"""Fixtures: a real server, clients, and a proxy whose connections a test can cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator

import pytest

from jobstream import AsyncClient, Client, Worker
from jobstream.testing import server as running_server


@pytest.fixture(scope="session")
def address() -> Generator[str]:
    """The address of a server with demo handlers and a long worker reconnect grace."""
    with running_server("--worker-reconnect-grace", "20s") as server:
        yield server.address


@pytest.fixture
def client(address: str) -> Generator[Client]:
    with Client(address) as client:
        yield client


@pytest.fixture
async def async_client(address: str) -> AsyncGenerator[AsyncClient]:
    async with AsyncClient(address) as client:
        yield client


@contextlib.contextmanager
def serving(
    client: Client, kind: str, handler: Callable[..., object], *, slots: int = 4, input_type: object = None
) -> Generator[Worker]:
    worker = Worker(client, "tests", slots=slots)
    worker.handler(kind, input_type=input_type)(handler)
    with worker:
        yield worker
        worker.stop()


class Proxy:
    """Forwards connections and cuts them on demand."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("http://").rpartition(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.sockets: list[socket.socket] = []
        self.accepted = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        try:
            while True:
                here, _ = self.listener.accept()
                there = socket.create_connection(self.target)
                self.accepted += 1
                self.sockets += [here, there]
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=pump, args=(source, target), daemon=True).start()
        except OSError:
            return

    def cut(self) -> None:
        sockets, self.sockets = self.sockets, []
        for each in sockets:
            shut(each)
            each.close()

    def close(self) -> None:
        shut(self.listener)  # Wakes its thread, which would accept one more connection.
        self.listener.close()
        self.cut()


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    shut(target)


def shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):  # Already closed.
        each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(address: str) -> Generator[Proxy]:
    proxy = Proxy(address)
    yield proxy
    proxy.close()
