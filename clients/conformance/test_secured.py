"""Tests a secured server: TLS with an own authority and client certificates, and bearer tokens."""

import hashlib
import subprocess

import pytest

from agent import as_json, read_json

pytestmark = pytest.mark.secured

TOKEN = "jst_" + "a" * 43
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
TOKENS_FILE = """[[token]]
name = "conformance"
sha256 = "{digest}"
grants = ["all"]
"""


class Files:
    """The certificates and the tokens file of a server and its clients, in a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = str(directory / "ca.crt")
        self.ca_key = str(directory / "ca.key")
        self.openssl("req", "-x509", *NEW_KEY, "-days", "2", "-subj", "/CN=CA", "-keyout", self.ca_key, "-out", self.ca)
        self.tokens = str(directory / "tokens.toml")
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        (directory / "tokens.toml").write_text(TOKENS_FILE.format(digest=digest))

    def issue(self, name, names):
        """Issues a certificate. Returns its file and that of its key."""
        request, certificate, key = (str(self.directory / f"{name}.{suffix}") for suffix in ("csr", "crt", "key"))
        subject = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={names}")
        self.openssl("req", *NEW_KEY, *subject, "-keyout", key, "-out", request)
        signed = ("-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial", "-copy_extensions", "copy", "-days", "2")
        self.openssl("x509", "-req", "-in", request, *signed, "-out", certificate)
        return certificate, key

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("secured"))


@pytest.fixture(scope="module")
def identity(files):
    """The certificate of a client."""
    certificate, key = files.issue("client", "DNS:client")
    return {"client_certificate": certificate, "client_key": key}


@pytest.fixture
def secured(new_server, files):
    """A server that requires a client certificate and a token."""
    certificate, key = files.issue("server", "DNS:localhost,IP:127.0.0.1")
    flags = ("--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", files.ca, "--auth-tokens", files.tokens)
    return new_server(*flags)


def use_everything(agent):
    """Uses calls, a run, a watch and a worker."""
    work = agent.work("echo", "emit")
    assert read_json(agent.running(work.kind("echo"), as_json("run")).ok()["payload"]) == "run"
    job_id = agent.submit(work.kind("emit"), as_json({"chunks": 1}))
    watch = agent.watch(job_id)
    watch.event(type="state", state="SUCCEEDED")
    watch.ok()
    assert read_json(agent.result(job_id)) == 1


def test_calls_watches_and_workers_have_the_credentials(agent, secured, files, identity):
    agent.connect_secured(secured.address, ca=files.ca, token=TOKEN, **identity)
    use_everything(agent)


def test_refused_calls_are_repeated_with_a_new_token(agent, secured, files, identity):
    agent.connect_secured(secured.address, ca=files.ca, tokens=["jst_old", TOKEN], **identity)
    use_everything(agent)


@pytest.mark.parametrize("op", ["queues", "run", "work"])
def test_unknown_token_is_an_error(agent, secured, files, identity, op):
    agent.connect_secured(secured.address, ca=files.ca, token="jst_unknown", **identity)
    fields = {"queues": {}, "run": {"kind": "any", "payload": as_json(1)}}
    command = agent.start_work("echo").command if op == "work" else agent.send(op, **fields[op])
    error = command.error("other", timeout=10)
    assert error["reason"] == "CREDENTIAL_INVALID"
    assert "jst_unknown" not in error["message"]


def test_failed_handshakes_are_explained(agent, secured, files, identity):
    agent.connect_secured(secured.address, token=TOKEN, **identity)
    assert agent.send("queues").error("unavailable")["reason"] == "UNKNOWN_CA"
    agent.connect_secured(secured.address, ca=files.ca, token=TOKEN)
    assert agent.send("queues").error("other")["reason"] == "CLIENT_CERTIFICATE"
