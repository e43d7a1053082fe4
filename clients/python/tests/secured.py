"""A certificate authority for tests, and nginx as a proxy that checks headers."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

START_TIMEOUT = 20.0


class Authority:
    """A certificate authority, made with openssl, with its files in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = self.path("ca.crt")
        subject = ["-days", "2", "-subj", "/CN=jobstream test CA"]
        self.openssl("req", "-x509", *NEW_KEY, *subject, "-keyout", self.path("ca.key"), "-out", self.ca)

    def path(self, file: str) -> str:
        return str(self.directory / file)

    def issue(self, name: str, names: str, days: int = 2) -> tuple[str, str]:
        """Issues a certificate, such as for `DNS:localhost,IP:127.0.0.1`. Returns its file and that of its key."""
        request, certificate, key = (self.path(f"{name}.{suffix}") for suffix in ("csr", "crt", "key"))
        subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"]
        self.openssl("req", *NEW_KEY, *subject, "-keyout", key, "-out", request)
        signed = ["-CA", self.ca, "-CAkey", self.path("ca.key"), "-CAcreateserial", "-copy_extensions", "copy"]
        self.openssl("x509", "-req", "-in", request, *signed, "-days", str(days), "-out", certificate)
        return certificate, key

    def flags(self, name: str, names: str = "DNS:localhost,IP:127.0.0.1", days: int = 2) -> list[str]:
        """The flags of a server with a new certificate."""
        certificate, key = self.issue(name, names, days)
        return ["--tls-cert", certificate, "--tls-key", key]

    def openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


FORBIDDEN = "return 403;"
"""An answer with an HTML page."""
UNAUTHENTICATED = "add_header grpc-status 16; add_header grpc-message refused; return 204;"
"""An answer of gRPC. gRPC for Python does not see the HTTP status of each stream that has a page."""


@contextlib.contextmanager
def checking_proxy(server: str, directory: Path, header: str, value: str, answer: str, at: str = "/") -> Generator[str]:
    """Starts nginx in front of a server. It gives this answer to calls below a path, unless a header has this value.
    Yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    target = server.replace("http://", "grpc://")
    (directory / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid nginx.pid; error_log stderr;
        events {{ }}
        http {{
          access_log off; default_type application/grpc;
          client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
          scgi_temp_path scgi;
          server {{ listen 127.0.0.1:{port} http2;
            grpc_read_timeout 1h;
            {"" if at == "/" else f"location / {{ grpc_pass {target}; }}"}
            location {at} {{ if ($http_{header} != "{value}") {{ {answer} }}
              grpc_pass {target}; }} }}
        }}"""
    )
    command = ["nginx", "-p", str(directory), "-e", "stderr", "-c", "nginx.conf"]
    with subprocess.Popen(command) as nginx:
        try:
            wait_for_listener(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            nginx.terminate()


def wait_for_listener(port: int) -> None:
    until = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
