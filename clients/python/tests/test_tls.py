"""Tests TLS against real servers: the authorities to trust, client certificates, and the errors."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from secured import Authority

from jobstream import AsyncClient, Client, ClientOptions, JobstreamError, Unauthenticated, Unavailable, Worker
from jobstream.testing import Server, server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> Generator[Server]:
    with server(*authority.flags("server")) as running:
        yield running


@pytest.fixture(scope="module")
def mutual(authority: Authority) -> Generator[Server]:
    with server(*authority.flags("mutual"), "--tls-client-ca", authority.ca) as running:
        yield running


def by_name(running: Server) -> str:
    return running.address.replace("127.0.0.1", "localhost")


def error_of(address: str, options: ClientOptions) -> JobstreamError:
    with Client(address, options) as client, pytest.raises(JobstreamError) as caught:
        client.run("demo.echo", 1, wait=10)
    return caught.value


@pytest.mark.parametrize("is_bytes", [False, True])
def test_client_and_worker_trust_their_own_authority(tls: Server, authority: Authority, is_bytes: bool) -> None:
    ca = Path(authority.ca).read_bytes() if is_bytes else authority.ca
    for address in (tls.address, by_name(tls)):
        with Client(address, ClientOptions(ca=ca)) as client:
            worker = Worker(client, "tls")
            worker.handler("double")(lambda _, number: number * 2)
            with worker:
                assert client.run("double", 21, wait=10) == 42


def test_authorities_of_the_variable_and_of_the_system_are_trusted(
    tls: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("JOBSTREAM_CA", "SSL_CERT_FILE"):
        with monkeypatch.context() as patch:
            patch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", raising=False)
            patch.setenv(variable, authority.ca)
            with Client(tls.address) as client:
                assert client.run("demo.echo", 1, wait=10) == 1


async def test_asyncio_client_uses_tls_with_a_client_certificate(mutual: Server, authority: Authority) -> None:
    certificate, key = authority.issue("async", "DNS:async")
    options = ClientOptions(ca=authority.ca, client_certificate=certificate, client_key=key)
    async with AsyncClient(mutual.address, options) as client:
        assert await client.run("demo.echo", 1, wait=10) == 1
    with pytest.raises(Unauthenticated, match="client certificate"):
        await AsyncClient(mutual.address, ClientOptions(ca=authority.ca)).run("demo.echo", 1)


def test_unknown_authority_is_explained(tls: Server, stranger: Authority) -> None:
    for options in (ClientOptions(), ClientOptions(ca=stranger.ca)):
        error = error_of(tls.address, options)
        assert (type(error), error.reason) == (Unavailable, "UNKNOWN_CA")
        assert tls.address in error.message
        assert "set the option ca" in error.message


def test_other_name_in_the_certificate_is_explained(authority: Authority) -> None:
    with server(*authority.flags("wrong", "DNS:jobs.example")) as running:
        error = error_of(by_name(running), ClientOptions(ca=authority.ca))
    assert (type(error), error.reason) == (Unavailable, "INVALID_CERTIFICATE")
    assert "not for localhost" in error.message
    assert "subjectAltName" in error.message


def test_expired_certificate_is_explained(authority: Authority) -> None:
    with server(*authority.flags("expired", days=-1)) as running:
        error = error_of(running.address, ClientOptions(ca=authority.ca))
    assert error.reason == "INVALID_CERTIFICATE"
    assert "expired" in error.message


def test_missing_and_unknown_client_certificates_are_explained(
    mutual: Server, authority: Authority, stranger: Authority
) -> None:
    certificate, key = stranger.issue("bob", "DNS:bob")
    unknown = ClientOptions(ca=authority.ca, client_certificate=certificate, client_key=key)
    for options in (ClientOptions(ca=authority.ca), unknown):
        error = error_of(mutual.address, options)
        assert (type(error), error.reason) == (Unauthenticated, "CLIENT_CERTIFICATE")
        assert "client_key" in error.message


def test_plain_text_server_and_plain_text_client_are_explained(tls: Server, authority: Authority) -> None:
    with server() as plain:
        error = error_of(plain.address.replace("http:", "https:"), ClientOptions(ca=authority.ca))
    assert (type(error), error.reason) == (Unavailable, "NOT_TLS")
    assert "use http://" in error.message
    plain_address = tls.address.replace("https:", "http:")
    error = error_of(plain_address, ClientOptions())
    assert (type(error), error.reason, error.is_transient) == (Unavailable, "TLS_REQUIRED", False)
    assert error.message == f"cannot use the server at {plain_address}: this port serves TLS only: use {tls.address}"
    with Client(plain_address) as client:
        worker = Worker(client, "plain")
        worker.handler("any")(lambda _: None)
        with pytest.raises(Unavailable, match="TLS only"):
            worker.run(signals=False)


def test_tls_of_another_server_is_guessed() -> None:
    def refuse_all(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1024)
                    connection.sendall(bytes([21, 3, 3, 0, 2, 2, 70]))  # An alert: protocol version.

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=refuse_all, args=(listener,), daemon=True).start()
        error = error_of(f"http://127.0.0.1:{listener.getsockname()[1]}", ClientOptions(tries=2))
        listener.shutdown(socket.SHUT_RDWR)
    assert "begins with https://" in error.message


def test_worker_ends_with_the_error_of_the_handshake(mutual: Server, stranger: Authority, authority: Authority) -> None:
    for ca, reason in ((stranger.ca, "UNKNOWN_CA"), (authority.ca, "CLIENT_CERTIFICATE")):
        with Client(mutual.address, ClientOptions(ca=ca)) as client:
            worker = Worker(client, "refused")
            worker.handler("any")(lambda _: None)
            with pytest.raises(JobstreamError) as caught:
                worker.run(signals=False)
            assert caught.value.reason == reason


def test_unusable_files_are_rejected_at_once(authority: Authority) -> None:
    key = authority.path("ca.key")
    damaged, encrypted = authority.path("damaged.crt"), authority.path("encrypted.key")
    Path(damaged).write_text("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
    Path(encrypted).write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    other = authority.issue("other", "DNS:other")[1]
    cases = [
        (ClientOptions(ca="/no/such.crt"), "CA certificate '/no/such.crt' cannot be read: No such file"),
        (ClientOptions(ca=key), f"CA certificate {key!r} is unusable: it has no certificate in PEM format"),
        (ClientOptions(ca=damaged), f"CA certificate {damaged!r} is unusable"),
        (
            ClientOptions(client_certificate=authority.ca, client_key=other),
            f"client certificate {authority.ca!r} and the client key {other!r} are unusable together",
        ),
        (
            ClientOptions(client_certificate=authority.ca, client_key=encrypted),
            f"client key {encrypted!r} is unusable: it is encrypted: decrypt it",
        ),
        (
            ClientOptions(ca=b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
            "CA certificate is unusable",
        ),
        (ClientOptions(client_certificate=authority.ca), "set client_key too"),
        (ClientOptions(client_key=key), "set client_certificate too"),
        (
            ClientOptions(client_certificate=authority.ca, client_key=authority.ca),
            f"client key {authority.ca!r} is unusable: it has no private key in PEM format",
        ),
    ]
    for options, message in cases:
        for make in (Client, AsyncClient):
            with pytest.raises(ValueError, match=re.escape(message)):
                make("https://localhost:1", options)


def test_client_key_of_another_certificate_is_explained(mutual: Server, authority: Authority) -> None:
    key = Path(authority.issue("a", "DNS:a")[1]).read_bytes()
    options = ClientOptions(ca=authority.ca, client_certificate=authority.ca, client_key=key)
    error = error_of(mutual.address, ClientOptions(**{**vars(options), "tries": 1}))
    assert error.reason == "TLS_FAILED"
    assert "do not belong together" in error.message


def test_headers_that_are_too_large_fail_a_call_at_once_with_the_way_out() -> None:
    with server() as plain:
        for options in (ClientOptions(token="x" * 9_000), ClientOptions(metadata={"x-large": "x" * 9_000})):
            error = error_of(plain.address, options)
            assert (type(error), error.code, error.is_transient) == (JobstreamError, "UNKNOWN", False)
            assert error.message == (
                f"the headers of the call are larger than {plain.address} accepts (HTTP status 431): "
                "shorten the token or the metadata"
            )


def test_files_for_a_plain_text_address_are_rejected(authority: Authority) -> None:
    with pytest.raises(ValueError, match="plain text: use https://jobs:7070"):
        Client("jobs:7070", ClientOptions(ca=authority.ca))


def test_options_are_printed_without_keys_and_tokens(authority: Authority) -> None:
    secret = Path(authority.path("ca.key")).read_text()
    options = ClientOptions(ca=secret, client_key=secret, token="secret-token", metadata={"x-key": "secret-header"})
    assert "secret" not in repr(options).replace("allow_insecure_token", "")
    assert "PRIVATE" not in repr(options)


def test_programs_of_the_readme_run(
    tls: Server,
    mutual: Server,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    section = readme.partition("## TLS, tokens and metadata")[2].partition("\n## ")[0]
    authority.issue("alice", "DNS:alice")
    Path(authority.path("token")).write_text("jst_example\n")
    monkeypatch.chdir(authority.directory)
    for program in re.findall(r"```python\n(from .*?)```", section, re.DOTALL):
        at = program.replace("https://localhost:7070", tls.address).replace("https://localhost:7071", mutual.address)
        exec(compile(at, "README.md", "exec"), {})
    assert capsys.readouterr().out == "own CA\nmutual TLS\ntoken function\nmetadata\n"
