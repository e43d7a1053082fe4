"""Tests bearer tokens against a real server with a file of static tokens."""

from __future__ import annotations

import hashlib
import queue
import signal
import time
from collections.abc import Callable, Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import Proxy

from jobstream import (
    AsyncClient,
    Client,
    ClientOptions,
    Context,
    PermissionDenied,
    StateChange,
    Unauthenticated,
    Worker,
)
from jobstream.testing import Server, server

FIRST, SECOND, EXPIRED = ("jst_" + letter * 43 for letter in "abc")
TIMEOUT = 20.0


def entry(token: str, grant: str = "all", expires: datetime | None = None) -> str:
    """An entry of the file of the server."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    end = f"expires = {expires:%Y-%m-%dT%H:%M:%SZ}" if expires else ""
    return f'[[token]]\nname = "caller"\nsha256 = "{digest}"\ngrants = ["{grant}"]\n{end}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(entry(FIRST))
    return path


@pytest.fixture
def secured(file: Path) -> Generator[Server]:
    with server("--auth-tokens", str(file)) as running:
        yield running


def worker_of(client: Client, on_connect: Callable[[str], None] | None = None) -> Worker:
    worker = Worker(client, "tokens", on_connect=on_connect)

    @worker.handler("double")
    def double(_: Context, number: int) -> int:
        return number * 2

    return worker


@pytest.mark.parametrize(
    ("token", "reason"),
    [(None, "CREDENTIAL_REQUIRED"), (SECOND, "CREDENTIAL_INVALID"), (EXPIRED, "CREDENTIAL_EXPIRED")],
)
def test_refused_credential_ends_calls_watches_and_workers(file: Path, token: str | None, reason: str) -> None:
    file.write_text(entry(EXPIRED, expires=datetime.now(timezone.utc) - timedelta(hours=1)))
    with server("--auth-tokens", str(file)) as running, Client(running.address, ClientOptions(token=token)) as client:
        watch = client.job("8c6f5d6e-9c0f-4b34-9d3c-1ad6dfb2e0a1").watch()
        for call in (client.queues, lambda: client.run("any"), watch.__next__, worker_of(client).run):
            with pytest.raises(Unauthenticated) as caught:
                call()
            assert caught.value.reason == reason


def test_missing_grant_is_permission_denied(file: Path) -> None:
    file.write_text(entry(FIRST, grant="read"))
    with server("--auth-tokens", str(file)) as running, Client(running.address, ClientOptions(token=FIRST)) as client:
        for call in (lambda: client.submit("any"), lambda: client.run("any"), worker_of(client).run):
            with pytest.raises(PermissionDenied) as caught:
                call()
            assert caught.value.reason == "GRANT_MISSING"


def test_watch_and_worker_resume_after_their_credential_has_expired(file: Path) -> None:
    file.write_text(entry(FIRST, expires=datetime.now(timezone.utc) + timedelta(seconds=4)) + entry(SECOND))
    ids: queue.SimpleQueue[str] = queue.SimpleQueue()
    with server("--auth-tokens", str(file)) as running:
        current = [FIRST]
        with Client(running.address, ClientOptions(token=lambda: current[0])) as client:
            worker = worker_of(client, ids.put)
            with worker:
                ids.get(timeout=TIMEOUT)
                job = client.submit("unserved")
                watch = job.watch()
                next(watch)
                current[0] = SECOND
                ids.get(timeout=TIMEOUT)  # The first stream has expired.
                job.cancel()
                assert len(list(watch)) > 0
                assert client.run("double", 21, wait=TIMEOUT) == 42


async def test_asyncio_client_sends_its_token(secured: Server) -> None:
    async with AsyncClient(secured.address, ClientOptions(token=FIRST)) as client:
        assert await client.run("demo.echo", 1, wait=10) == 1


def replace_token(file: Path, running: Server) -> None:
    """Replaces FIRST by SECOND and waits until the server has read the file."""
    file.write_text(entry(SECOND))
    running.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + TIMEOUT
    with Client(running.address, ClientOptions(token=SECOND)) as client:
        while True:
            try:
                client.queues()
                return
            except Unauthenticated:
                assert time.monotonic() < until
                time.sleep(0.02)


def test_watch_and_worker_reconnect_with_a_new_token(file: Path, secured: Server) -> None:
    proxy = Proxy(secured.address)
    current = [FIRST]
    with Client(proxy.address, ClientOptions(token=lambda: current[0])) as client, worker_of(client) as worker:
        assert worker.wait_connected(TIMEOUT)
        job = client.submit("unserved")
        watch = job.watch()
        assert isinstance(next(watch), StateChange)
        replace_token(file, secured)
        current[0] = SECOND
        proxy.cut()
        job.cancel()
        last = list(watch)[-1]
        assert isinstance(last, StateChange)
        assert last.state == "CANCELLED"
        assert client.run("double", 21, wait=TIMEOUT) == 42
    proxy.close()


def test_watch_and_worker_end_after_their_static_token_was_removed(file: Path, secured: Server) -> None:
    proxy = Proxy(secured.address)
    with Client(proxy.address, ClientOptions(token=FIRST)) as client:
        worker = worker_of(client)
        worker.start()
        assert worker.wait_connected(TIMEOUT)
        watch = client.submit("unserved").watch()
        next(watch)
        replace_token(file, secured)
        proxy.cut()
        with pytest.raises(Unauthenticated):
            next(watch)
        with pytest.raises(Unauthenticated):
            worker.wait(TIMEOUT)
    proxy.close()
