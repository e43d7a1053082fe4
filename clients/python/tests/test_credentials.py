"""Tests tokens and metadata through nginx, which refuses calls without them."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from conftest import Proxy
from secured import FORBIDDEN, UNAUTHENTICATED, checking_proxy

from jobstream import (
    AsyncClient,
    AsyncContext,
    AsyncWorker,
    Client,
    ClientOptions,
    Context,
    JobstreamError,
    PermissionDenied,
    StateChange,
    Unauthenticated,
    Unavailable,
    Worker,
)
from jobstream.v1 import admin_service_pb2

RIGHT = "jst_right"
TEAM = {"X-Team": "blue"}


@pytest.fixture(scope="module")
def team_proxy(address: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a proxy that requires the header `x-team: blue`."""
    with checking_proxy(address, tmp_path_factory.mktemp("team"), "x_team", "blue", FORBIDDEN) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def token_proxy(address: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a proxy that requires the token RIGHT."""
    directory = tmp_path_factory.mktemp("token")
    with checking_proxy(address, directory, "authorization", f"Bearer {RIGHT}", UNAUTHENTICATED) as proxy:
        yield proxy


class Tokens:
    """A token function that returns these tokens in turn, and then always the last one. An exception is raised."""

    def __init__(self, *tokens: str | Exception) -> None:
        self.left = list(tokens)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        token = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(token, Exception):
            raise token
        return token

    async def of_asyncio(self) -> str:
        await asyncio.sleep(0)
        return self()


def use_everything(client: Client) -> None:
    """Calls, a run, a watch, a raw stub and a worker."""
    worker = Worker(client, "secured")

    @worker.handler("secured")
    def secured(context: Context, number: int) -> int:
        context.progress(0.5)
        return number + 1

    with worker:
        assert client.run("secured", 1, wait=10) == 2
        job = client.submit("secured", 2)
        last = list(job.watch())[-1]
        assert isinstance(last, StateChange)
        assert job.result(10) == 3
        assert client.get(job.id).state == "SUCCEEDED"
        assert client.admin.GetServerInfo(admin_service_pb2.GetServerInfoRequest()).mode == "memory"


async def use_everything_of_asyncio(client: AsyncClient) -> None:
    worker = AsyncWorker(client, "secured")

    @worker.handler("secured-async")
    async def secured(_: AsyncContext, number: int) -> int:
        await asyncio.sleep(0)
        return number + 1

    async with worker:
        assert await client.run("secured-async", 1, wait=10) == 2
        job = await client.submit("secured-async", 2)
        items = [item async for item in job.watch()]
        assert isinstance(items[-1], StateChange)
        assert await job == 3
        assert (await client.admin.GetServerInfo(admin_service_pb2.GetServerInfoRequest())).mode == "memory"


def test_metadata_is_sent_with_each_call_and_stream(team_proxy: str) -> None:
    for token in (None, RIGHT, Tokens(RIGHT)):
        with Client(team_proxy, ClientOptions(metadata=TEAM, token=token)) as client:
            use_everything(client)


async def test_metadata_is_sent_with_each_call_and_stream_of_asyncio(team_proxy: str) -> None:
    for token in (None, RIGHT, Tokens(RIGHT).of_asyncio):
        async with AsyncClient(team_proxy, ClientOptions(metadata=TEAM, token=token)) as client:
            await use_everything_of_asyncio(client)


def test_http_403_of_a_proxy_is_permission_denied(team_proxy: str) -> None:
    with Client(team_proxy) as client:
        for call in (lambda: client.submit("any"), lambda: client.run("any"), lambda: client.list().__next__()):
            with pytest.raises(PermissionDenied, match="HTTP status 403"):
                call()


def test_token_is_sent_with_each_call_and_stream(token_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(token_proxy, ClientOptions(token=RIGHT)) as client:
        use_everything(client)
    monkeypatch.setenv("JOBSTREAM_TOKEN", RIGHT)
    with Client(token_proxy) as client:
        use_everything(client)


def test_token_function_is_called_for_each_call(token_proxy: str) -> None:
    tokens = Tokens(RIGHT)
    with Client(token_proxy, ClientOptions(token=tokens)) as client:
        use_everything(client)
        before = tokens.calls
        client.queues()
        client.queues()
        assert tokens.calls == before + 2


async def test_token_function_of_asyncio_is_called_for_each_call(token_proxy: str) -> None:
    for tokens in (Tokens(RIGHT), Tokens(RIGHT)):
        async with AsyncClient(token_proxy, ClientOptions(token=tokens.of_asyncio)) as client:
            await use_everything_of_asyncio(client)
            before = tokens.calls
            await client.queues()
            assert tokens.calls == before + 1
    for function in (Tokens(RIGHT), tokens.of_asyncio):
        async with AsyncClient(token_proxy, ClientOptions(token=function)) as client:
            await use_everything_of_asyncio(client)


CALLS: list[Callable[[Client, str], object]] = [
    lambda client, _: client.queues(),
    lambda client, _: client.run("demo.echo", 1, wait=10),
    lambda client, job_id: client.job(job_id).result(10),
    lambda client, job_id: list(client.job(job_id).watch()),
    lambda client, _: client.purge_queue("default"),
]


@pytest.mark.parametrize("call", CALLS)
def test_refused_call_is_repeated_once_with_a_new_token(
    client: Client, token_proxy: str, call: Callable[[Client, str], object]
) -> None:
    job = client.submit("demo.echo", 1)
    with Client(token_proxy, ClientOptions(token=Tokens("old", RIGHT))) as secured:
        # No concurrent lookup of the boot id takes a token.
        secured._boots.start_lookup()
        call(secured, job.id)
    refused = Tokens("old")
    with Client(token_proxy, ClientOptions(token=refused)) as secured:
        secured._boots.start_lookup()
        with pytest.raises(Unauthenticated, match="refused"):
            call(secured, job.id)
        assert refused.calls == 2


async def test_refused_call_of_asyncio_is_repeated_once(client: Client, token_proxy: str) -> None:
    job = client.submit("demo.echo", 1)
    refused = Tokens("old")
    async with AsyncClient(token_proxy, ClientOptions(token=refused.of_asyncio)) as secured:
        waits = secured.job(job.id).result, secured.job(job.id).watch().__anext__
        for call in (secured.queues, *waits, lambda: secured.purge_queue("default")):
            refused.left, refused.calls = ["old", RIGHT], 0
            await call()
            assert refused.calls == 2
        refused.left, refused.calls = ["old"], 0
        with pytest.raises(Unauthenticated):
            await secured.job(job.id).watch().__anext__()
        assert refused.calls == 2


def test_refused_static_token_ends_calls_and_workers_at_once(token_proxy: str) -> None:
    with Client(token_proxy, ClientOptions(token="wrong-secret")) as client:
        worker = Worker(client, "refused")
        worker.handler("any")(lambda _: None)
        for call in (client.queues, lambda: worker.run(signals=False), lambda: next(client.submit("a").watch())):
            with pytest.raises(Unauthenticated, match="refused") as caught:
                call()
            assert "wrong-secret" not in repr(caught.value)


def test_refused_worker_asks_for_a_new_token_once(token_proxy: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = Tokens("old", RIGHT)
    with Client(token_proxy, ClientOptions(token=tokens)) as client:
        worker = Worker(client, "repeats")
        worker.handler("any")(lambda _: None)
        with worker:
            assert worker.wait_connected(10)
        assert tokens.calls == 2
        refused = Tokens("old-secret")
        worker = Worker(Client(token_proxy, ClientOptions(token=refused)), "ends")
        worker.handler("any")(lambda _: None)
        with pytest.raises(Unauthenticated):
            worker.run(signals=False)
        assert refused.calls == 2
    assert "secret" not in caplog.text
    assert RIGHT not in caplog.text


def test_each_connection_may_be_refused_once(client: Client, token_proxy: str) -> None:
    cut = Proxy(token_proxy)
    connections: queue.SimpleQueue[str] = queue.SimpleQueue()
    with Client(cut.address, ClientOptions(token=Tokens(*["old", RIGHT] * 2))) as secured:
        worker = Worker(secured, "repeats", on_connect=connections.put)
        worker.handler("any")(lambda _: None)
        with worker:
            connections.get(timeout=10)
            cut.cut()
            connections.get(timeout=10)
    job = client.submit("unserved")
    with Client(cut.address, ClientOptions(token=Tokens(*["old", RIGHT] * 2))) as secured:
        watch = secured.job(job.id).watch()
        next(watch)
        cut.cut()
        job.cancel()
        assert len(list(watch)) > 0
    cut.close()


def test_failed_token_function_is_retried(token_proxy: str) -> None:
    options = ClientOptions(token=Tokens(OSError("no network"), RIGHT))
    with Client(token_proxy, options) as client:
        assert client.run("demo.echo", 1, wait=10) == 1
    with Client(token_proxy, ClientOptions(token=Tokens(OSError("no network")), tries=2)) as client:
        with pytest.raises(Unavailable, match=r"token function .* failed: OSError: no network") as caught:
            client.queues()
        assert caught.value.reason == "TOKEN_UNAVAILABLE"
        with pytest.raises(Unavailable, match="2 tries"):
            client.submit("demo.echo")
    # The lookup of the boot id takes the first token. It does not fail the call.
    with Client(token_proxy, ClientOptions(token=Tokens(OSError("no network"), RIGHT), tries=1)) as client:
        assert client.submit("demo.echo", 1).result(10) == 1


async def test_failed_token_function_of_asyncio_is_retried(token_proxy: str) -> None:
    tokens = Tokens(OSError("no network"), RIGHT)
    async with AsyncClient(token_proxy, ClientOptions(token=tokens.of_asyncio)) as client:
        assert await client.run("demo.echo", 1, wait=10) == 1


def test_worker_connects_once_the_token_function_succeeds(token_proxy: str) -> None:
    with Client(token_proxy, ClientOptions(token=Tokens(OSError("no network"), "", RIGHT))) as client:
        worker = Worker(client, "waits")
        worker.handler("any")(lambda _: None)
        with worker:
            assert worker.wait_connected(10)


@pytest.mark.parametrize("bad", ["", "two words", "line\nbreak-secret", "\u00fcml\u00e4ut-secret"])
def test_token_that_is_no_header_is_rejected_without_showing_it(bad: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        Client("localhost:1", ClientOptions(token=bad))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("bad", ["", "two words", "line\nbreak-secret", "\u00fcml\u00e4ut-secret"])
def test_unusable_token_of_a_function_is_retried_and_not_shown(bad: str) -> None:
    tokens = Tokens(bad, bad, bad)
    client = Client("localhost:1", ClientOptions(token=tokens, tries=2))
    with client, pytest.raises(Unavailable, match=r"printable ASCII.*2 tries") as caught:
        client.queues()
    assert caught.value.reason == "TOKEN_UNAVAILABLE"
    assert "secret" not in repr(caught.value)


def test_token_is_not_sent_in_plain_text_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def function() -> str:
        return RIGHT

    for token in (RIGHT, function):
        with pytest.raises(ValueError, match=r"not sent to jobs.example in plain text.*allow_insecure_token=True"):
            Client("jobs.example:7070", ClientOptions(token=token))
        for host in ("localhost", "127.0.0.1", "127.1.2.3", "[::1]"):
            Client(f"http://{host}:7070", ClientOptions(token=token)).close()
        Client("jobs.example:7070", ClientOptions(token=token, allow_insecure_token=True)).close()
        Client("https://jobs.example:7070", ClientOptions(token=token)).close()
    metadata = {"Authorization": "Basic eDp5"}
    with pytest.raises(ValueError, match=r"metadata authorization is not sent to jobs.example in plain text"):
        Client("jobs.example:7070", ClientOptions(metadata=metadata))
    Client("localhost:7070", ClientOptions(metadata=metadata)).close()
    Client("jobs.example:7070", ClientOptions(metadata=metadata, allow_insecure_token=True)).close()
    monkeypatch.setenv("JOBSTREAM_TOKEN", RIGHT)
    with pytest.raises(ValueError, match=r"not sent to 10.0.0.1 in plain text"):
        Client("10.0.0.1:7070")


def test_coroutine_function_is_rejected_by_the_blocking_client() -> None:
    with pytest.raises(TypeError, match="use AsyncClient"):
        Client("localhost:1", ClientOptions(token=Tokens(RIGHT).of_asyncio))


@pytest.mark.parametrize("metadata", [{"grpc-x": ""}, {"x-bin": ""}, {"x y": ""}, {"x": "a\nb"}])
def test_invalid_metadata_is_rejected(metadata: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="metadata"):
        Client("localhost:1", ClientOptions(metadata=metadata))


def test_metadata_and_token_must_not_both_authorize() -> None:
    options = ClientOptions(token=RIGHT, metadata={"Authorization": "Basic eDp5"})
    with pytest.raises(ValueError, match="give one of them"):
        Client("localhost:1", options)


def test_refused_lookup_of_the_boot_id_is_not_repeated(address: str, tmp_path: Path) -> None:
    tokens = Tokens(RIGHT)
    service = "/jobstream.v1.AdminService/"
    with checking_proxy(address, tmp_path, "x_team", "blue", FORBIDDEN, service) as proxy:
        with Client(proxy, ClientOptions(token=tokens)) as client:
            with pytest.raises(PermissionDenied):
                client.queues()
            jobs = [client.submit("demo.echo", 1) for _ in range(3)]
            assert [job.result(10) for job in jobs] == [1, 1, 1]
        assert tokens.calls == 1 + 1 + 3 + 3


def test_server_accepts_frequent_pings(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with Client(address, ClientOptions(keepalive_interval=0.05)) as client:
        job = client.submit("unserved")
        with pytest.raises(JobstreamError, match="not finished within 1 s"):
            job.result(1)
        worker = Worker(client, "pings")
        worker.handler("any")(lambda _: None)
        with worker:
            assert worker.wait_connected(10)
            assert not worker.wait(0.5)
    assert "not connected" not in caplog.text
