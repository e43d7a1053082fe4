"""The options of the client, with their defaults."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Union
from urllib.parse import urlsplit

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from .tracing import TraceContext

ADDRESS_VARIABLE = "JOBSTREAM_ADDRESS"
DEFAULT_ADDRESS = "http://127.0.0.1:7070"
PORTS = {"http": 7070, "https": 443}

Span = Union[float, timedelta]
"""A duration: seconds, or a timedelta."""
Pem = Union[str, "os.PathLike[str]", bytes]
"""Certificates or a key in PEM format: the path of a file, or the content."""
Token = Union[str, Callable[[], str], Callable[[], Awaitable[str]]]
"""A bearer token, or a function that returns the current one."""


def seconds(span: Span) -> float:
    """The duration in seconds."""
    return span.total_seconds() if isinstance(span, timedelta) else float(span)


@dataclass(frozen=True)
class ClientOptions:
    """TLS, credentials, timeouts, retry limits and message limits of a client. Times are in seconds."""

    call_timeout: float = 30.0
    """Deadline of one call including its retries. Does not limit waits for a result and watches."""
    tries: int = 6
    """Attempts of one call, including the first."""
    first_pause: float = 0.1
    """Largest back-off before the first retry. It doubles with each retry. A random part of it is used (full jitter).
    """
    longest_pause: float = 5.0
    """Largest back-off before any retry. A delay requested by the server is added."""
    patience: float = 300.0
    """How long a watch or a wait for a result tries to reconnect to an unavailable server."""
    connect_timeout: float = 10.0
    """Longest time to establish a connection."""
    keepalive_interval: float = 20.0
    """Idle time after which an HTTP/2 PING is sent while calls are open."""
    keepalive_timeout: float = 10.0
    """Time to wait for a PING response before the connection is closed."""
    message_bytes_max: int = 16 << 20
    """Largest message that is accepted, in bytes. A worker reports it to the server, which assigns larger jobs to other
    workers. A worker needs at least 64 KiB."""
    ca: Pem | None = field(default=None, repr=False)
    """Certificates of the authorities to trust at an https:// address. Default: JOBSTREAM_CA, the path of a PEM file,
    else the authorities of the system."""
    client_certificate: Pem | None = field(default=None, repr=False)
    """The certificate of this client, followed by intermediate ones, for a server that requires one."""
    client_key: Pem | None = field(default=None, repr=False)
    """The private key of `client_certificate`."""
    token: Token | None = field(default=None, repr=False)
    """The bearer token of each call, or a function that returns the current one. Default: JOBSTREAM_TOKEN.

    The function is called for each call and each stream, in the thread of the call; its result is not cached. A call
    that is refused as UNAUTHENTICATED is repeated once with a new token. AsyncClient also takes a coroutine function; a
    plain function must not block its event loop."""
    allow_insecure_token: bool = False
    """Whether the token, or metadata named authorization, may be sent in plain text, to an http:// address, to another
    host than this one."""
    metadata: Mapping[str, str] | None = field(default=None, repr=False, hash=False)
    """Further headers of each call and each stream, such as those for a proxy."""
    tracer_provider: TracerProvider | None = field(default=None, repr=False, hash=False, compare=False)
    """Makes the spans, where opentelemetry-api is installed. Default: the global provider."""


@dataclass(frozen=True)
class RetryPolicy:
    """When a job is retried after a retryable failure.

    client.submit("charge", order, retry=RetryPolicy(5, initial_backoff=0.5, max_backoff=60))
    """

    max_attempts: int = 1
    """Number of attempts including the first, at most 100."""
    initial_backoff: Span | None = None
    """Back-off before the second attempt. Default 1 s."""
    multiplier: float | None = None
    """Factor between consecutive back-offs, 1 to 100. Default 2."""
    max_backoff: Span | None = None
    """Largest back-off. Default 1 h."""
    jitter: float | None = None
    """Random fraction of each back-off, 0 to 1. Default 0.2."""
    max_lost_attempts: int | None = None
    """Number of attempts that may end by the loss of their worker, 1 to 100. Default 3."""


class SubmitOptions(TypedDict, total=False):
    """The options of a job. The server validates them."""

    job_id: str
    """A UUID; the idempotency key of the job. Default: a new one. `uuid.uuid5` derives one from a name."""
    queue: str
    """The queue of the job. Default "default"."""
    priority: int
    """-100 to 100; larger starts first. Default 0."""
    delay: Span
    """Delay between acceptance and the earliest start. Excludes `start_time`."""
    start_time: datetime
    """Earliest start; requires a time zone. Excludes `delay`."""
    timeout: Span
    """Overall timeout of the job. Default: none."""
    attempt_timeout: Span
    """Timeout of one attempt. Default 1 h."""
    max_attempts: int
    """Number of attempts including the first, at most 100. Default 1: no retry. Excludes `retry`, which has it too."""
    retry: RetryPolicy
    """The retry policy with its back-off."""
    retention: Span
    """How long the finished job is retained. Default: the server's, 1 h."""
    labels: Mapping[str, str]
    """Labels to filter jobs by. At most 16."""
    headers: Mapping[str, str]
    """Headers for the handler. At most 16."""
    trace_context: TraceContext
    """The trace of the submitter, for the handler. Default: that of the current span, with OpenTelemetry."""


@dataclass(frozen=True)
class Address:
    """The address of a server."""

    url: str
    target: str
    is_tls: bool
    host: str
    """The name or the IP address, without brackets."""

    @classmethod
    def parse(cls, text: str | None) -> Address:
        """Parses `http://HOST:PORT`, `https://HOST:PORT` or `HOST:PORT`. Without text: JOBSTREAM_ADDRESS, else the
        default.

        Raises ValueError for any other text.
        """
        text = text or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
        url = text if "://" in text else f"http://{text}"
        parts = urlsplit(url)
        is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        try:
            port = parts.port or PORTS.get(parts.scheme)
        except ValueError:
            port = None
        if not (port and parts.hostname and is_plain and parts.scheme in PORTS):
            raise ValueError(f"invalid address {text!r}: use http://HOST:PORT, https://HOST:PORT or HOST:PORT")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        url = f"{parts.scheme}://{host}:{port}"
        return cls(url, f"{host}:{port}", parts.scheme == "https", parts.hostname)
