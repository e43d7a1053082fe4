"""How a client uses a secured server: TLS, the bearer token and further metadata.

`jobstream.handshake` explains failed handshakes.
"""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Union

import grpc

from .errors import ErrorDetails, JobstreamError, Unavailable
from .options import Address, ClientOptions, Pem

TOKEN_VARIABLE = "JOBSTREAM_TOKEN"
CA_VARIABLE = "JOBSTREAM_CA"
ROOTS_VARIABLE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
"""Environment variable of gRPC with the authorities to trust. It has priority over those of the system."""

CERTIFICATE = b"CERTIFICATE-----"
PRIVATE_KEY = b"PRIVATE KEY-----"
"""The ends of the first lines of PEM blocks."""

AUTHORIZATION = "authorization"
TOKEN = re.compile(r"[!-~]+")
"""Printable ASCII without spaces."""
HEADER_NAME = re.compile(r"[0-9a-z_.-]+")
HEADER_VALUE = re.compile(r"[ -~]*")

Headers = tuple[tuple[str, str], ...]
TokenFunction = Callable[[], Union[str, Awaitable[str]]]


class Access:
    """The checked TLS credentials, token and metadata of a client. Its representation has none of them.

    Raises ValueError for options that contradict each other or the address, and for unusable files.
    """

    def __init__(self, address: Address, options: ClientOptions) -> None:
        self.address = address
        self.tls = tls_credentials(options) if address.is_tls else None
        if not address.is_tls:
            check_plain_text(address, options)
        self.metadata = checked_metadata(options.metadata or {})
        self._token_function: TokenFunction | None = None
        self._static_headers = self.metadata
        given = options.token if options.token is not None else os.environ.get(TOKEN_VARIABLE) or None
        has_authorization = any(name == AUTHORIZATION for name, _ in self.metadata)
        if given is None and not has_authorization:
            return
        if given is not None and has_authorization:
            raise ValueError(f"the metadata has {AUTHORIZATION!r} and there is a token too: give one of them")
        if not (address.is_tls or options.allow_insecure_token or is_loopback(address.host)):
            what = "a token" if given is not None else f"the metadata {AUTHORIZATION}"
            raise ValueError(
                f"{what} is not sent to {address.host} in plain text: use https://, or allow it with "
                "allow_insecure_token=True"
            )
        if given is None:
            return
        if callable(given):
            self._token_function = given
        else:
            self._static_headers = (*self.metadata, authorization(given))

    @property
    def adds_headers(self) -> bool:
        return self._token_function is not None or bool(self._static_headers)

    def require_blocking(self) -> None:
        """Raises TypeError if the token comes from a coroutine function."""
        if inspect.iscoroutinefunction(self._token_function):
            raise TypeError("token is a coroutine function: use AsyncClient, or a function that returns a text")

    def headers(self) -> Headers:
        """The headers of one call."""
        if self._token_function is None:
            return self._static_headers
        try:
            added = authorization(self._token_function())
        except Exception as error:
            raise self._token_failed(error) from error
        return (*self.metadata, added)

    async def headers_async(self) -> Headers:
        """The headers of one call. Awaits a coroutine function."""
        if self._token_function is None:
            return self._static_headers
        try:
            token = self._token_function()
            added = authorization(await token if inspect.isawaitable(token) else token)
        except Exception as error:
            raise self._token_failed(error) from error
        return (*self.metadata, added)

    def on_loop(self, loop: asyncio.AbstractEventLoop, timeout: float) -> Access:
        """The same access for threads: an awaitable token is awaited on this event loop, at most `timeout` seconds."""
        if (function := self._token_function) is None:
            return self

        def wait() -> str:
            token = function()
            if isinstance(token, str):
                return token
            waiting = asyncio.run_coroutine_threadsafe(awaited(token), loop)
            try:
                return waiting.result(timeout)
            finally:
                waiting.cancel()

        bridged = object.__new__(Access)
        bridged.__dict__.update(self.__dict__)
        bridged._token_function = wait
        return bridged

    def _token_failed(self, error: Exception) -> JobstreamError:
        """A usable token may be available later, for example once a file is written to its end. So the error is
        retried."""
        message = f"the token function of the client of {self.address.url} failed: {type(error).__name__}: {error}"
        details = ErrorDetails(code=grpc.StatusCode.UNAVAILABLE.name, reason="TOKEN_UNAVAILABLE")
        return Unavailable(message, details)


async def awaited(token: Awaitable[str]) -> str:
    return await token


def authorization(token: object) -> tuple[str, str]:
    """The header of a token. Raises ValueError, without the token, if it cannot be one."""
    if not isinstance(token, str):
        raise ValueError(f"the token is {type(token).__name__}, not a text")
    token = token.strip()
    if not TOKEN.fullmatch(token):
        raise ValueError("the token is empty or has other characters than printable ASCII without spaces")
    return AUTHORIZATION, f"Bearer {token}"


def checked_metadata(metadata: Mapping[str, str]) -> Headers:
    headers = tuple((name.lower(), value) for name, value in metadata.items())
    for name, value in headers:
        if not HEADER_NAME.fullmatch(name) or name.startswith("grpc-") or name.endswith("-bin"):
            raise ValueError(
                f"invalid metadata name {name!r}: use letters, digits, '_', '.' and '-'; no grpc-* and no *-bin"
            )
        if not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the metadata {name!r} has other characters than printable ASCII")
    return headers


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_plain_text(address: Address, options: ClientOptions) -> None:
    for name in ("ca", "client_certificate", "client_key"):
        if getattr(options, name) is not None:
            raise ValueError(f"{name} is set, but {address.url} is plain text: use https://{address.target}")


def tls_credentials(options: ClientOptions) -> grpc.ChannelCredentials:
    ca = options.ca if options.ca is not None else os.environ.get(CA_VARIABLE) or None
    roots = system_roots() if ca is None else checked_ca(ca)
    if (options.client_certificate is None) != (options.client_key is None):
        missing = "client_key" if options.client_key is None else "client_certificate"
        raise ValueError(f"a client certificate needs its private key and the reverse: set {missing} too")
    if options.client_certificate is None or options.client_key is None:
        return grpc.ssl_channel_credentials(roots)
    certificate = PemSource("the client certificate", options.client_certificate)
    key = PemSource("the client key", options.client_key)
    pair = key.read(PRIVATE_KEY), certificate.read(CERTIFICATE)
    check_pair(certificate, key)
    return grpc.ssl_channel_credentials(roots, *pair)


class PemSource:
    """A PEM file, or a text or bytes with the content of one. Its text is what it is, with the path of a file."""

    def __init__(self, what: str, given: Pem) -> None:
        content = given.encode() if isinstance(given, str) and "-----BEGIN" in given else given
        self.content = content if isinstance(content, bytes) else None
        self.path = None if isinstance(content, bytes) else os.fspath(content)
        self.text = what if self.path is None else f"{what} {self.path!r}"

    def __str__(self) -> str:
        return self.text

    def read(self, marker: bytes) -> bytes:
        """The content. The first line of one of its blocks ends with this marker."""
        pem = self.content
        if self.path is not None:
            try:
                with open(self.path, "rb") as file:
                    pem = file.read()
            except OSError as error:
                raise ValueError(f"{self} cannot be read: {error.strerror}") from error
        if pem is not None and b"ENCRYPTED PRIVATE KEY-----" in pem and marker != CERTIFICATE:
            raise ValueError(f"{self} is unusable: it is encrypted: decrypt it with openssl pkey")
        if pem is None or marker not in pem:
            raise ValueError(f"{self} is unusable: it has no {marker.decode().strip('-').lower()} in PEM format")
        return pem


def checked_ca(ca: Pem) -> bytes:
    source = PemSource("the CA certificate", ca)
    pem = source.read(CERTIFICATE)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode())
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"{source} is unusable: {error}") from None
    return pem


def check_pair(certificate: PemSource, key: PemSource) -> None:
    """Raises ValueError if both are files and do not belong together. The handshake checks any others."""
    if certificate.path is None or key.path is None:
        return
    try:
        # Without a password, an encrypted key would be asked for on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate.path, key.path, password="")
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"{certificate} and {key} are unusable together: {error}") from None


def system_roots() -> bytes | None:
    """The authorities of the system; None for those of gRPC if the system has none or ROOTS_VARIABLE is set."""
    if os.environ.get(ROOTS_VARIABLE):
        return None
    if file := ssl.get_default_verify_paths().cafile:
        with open(file, "rb") as roots:
            return roots.read()
    listed = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, listed)).encode() or None
