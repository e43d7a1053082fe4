"""A real server, clients of it, and a proxy that can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, Generator

import pytest

from jobstream import AsyncClient, Client
from jobstream.testing import server as running_server


@pytest.fixture(scope="session")
def address() -> Generator[str]:
    """Of a server that serves the demo kinds and keeps the attempts of a worker that is away."""
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


class Proxy:
    """Forwards connections, until they are cut."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("http://").rpartition(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.ends: list[socket.socket] = []
        self.accepted = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        try:
            while True:
                here, _ = self.listener.accept()
                there = socket.create_connection(self.target)
                self.accepted += 1
                self.ends += [here, there]
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=pump, args=(source, target), daemon=True).start()
        except OSError:
            return

    def cut(self) -> None:
        ends, self.ends = self.ends, []
        for end in ends:
            shut(end)
            end.close()

    def close(self) -> None:
        self.listener.close()
        self.cut()


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    shut(target)


def shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # It is closed already.
        end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(address: str) -> Generator[Proxy]:
    proxy = Proxy(address)
    yield proxy
    proxy.close()
