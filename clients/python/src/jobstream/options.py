"""Every bound of the client, with its default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Union
from urllib.parse import urlsplit

from typing_extensions import TypedDict

ADDRESS_VARIABLE = "JOBSTREAM_ADDRESS"
DEFAULT_ADDRESS = "http://127.0.0.1:7070"
PORTS = {"http": 7070, "https": 443}

Span = Union[float, timedelta]
"""A span of time: seconds, or a timedelta."""


def seconds(span: Span) -> float:
    """A span in seconds."""
    return span.total_seconds() if isinstance(span, timedelta) else float(span)


@dataclass(frozen=True)
class ClientOptions:
    """How a client waits and tries. Times are in seconds."""

    call_timeout: float = 30.0
    """One call with all its tries. A wait for a result and a watch are not bounded by it."""
    tries: int = 6
    """Tries in all, the first included."""
    first_pause: float = 0.1
    """Longest pause before the second try. It doubles each time; a random part of it is taken."""
    longest_pause: float = 5.0
    """Longest pause before any try, unless the server asks for more."""
    patience: float = 300.0
    """How long a watch or a wait for a result looks for a server that is away."""
    connect_timeout: float = 10.0
    """Longest time to open a connection."""
    keepalive_interval: float = 10.0
    """HTTP/2 PING after each silence of this length."""
    keepalive_timeout: float = 5.0
    """A connection that leaves a PING unanswered for this long is given up."""
    message_bytes_max: int = 16 << 20
    """Largest message read, in bytes: several times what a server sends by default. A worker says it to the server,
    which gives jobs that do not fit to others; it is to be at least 64 KiB there."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and when a job is tried again after a retryable failure."""

    max_attempts: int = 1
    """Attempts in all, the first included; at most 100."""
    initial_backoff: Span | None = None
    """Pause before the second attempt. Default 1 s."""
    multiplier: float | None = None
    """Factor between one pause and the next, 1 to 100. Default 2."""
    max_backoff: Span | None = None
    """Longest pause. Default 1 h."""
    jitter: float | None = None
    """Share of each pause that is random, 0 to 1. Default 0.2."""
    max_lost_attempts: int | None = None
    """Attempts that may be lost with their worker, 1 to 100. Default 3."""


class SubmitOptions(TypedDict, total=False):
    """What can be said about a job beside its kind and input. Every limit is checked by the server."""

    job_id: str
    """A UUID, the job's idempotency key. Default: a new one."""
    queue: str
    """Where the job waits. Default "default"."""
    priority: int
    """-100 to 100; larger starts first. Default 0."""
    delay: Span
    """The job starts not before this long after it was accepted. Not with `start_time`."""
    start_time: datetime
    """The job starts not before this time, which must have a time zone."""
    timeout: Span
    """Longest life of the whole job. Default none."""
    attempt_timeout: Span
    """Longest time of one attempt. Default 1 h."""
    retry: RetryPolicy | int
    """What happens after a failed attempt; a number is how many attempts there are in all. Default 1: no retry."""
    retention: Span
    """How long the finished job is kept. Default: the server's, 1 h."""
    labels: Mapping[str, str]
    """For finding jobs again. At most 16."""
    headers: Mapping[str, str]
    """Handed to the handler, such as traceparent. At most 16."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and whether it is reached by TLS."""

    url: str
    target: str
    is_tls: bool

    @classmethod
    def parse(cls, text: str | None) -> Address:
        """An address such as `http://127.0.0.1:7070`, `https://jobs.example.com` or `127.0.0.1:7070`.

        Raises ValueError for anything else.
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
            raise ValueError(f"the address {text!r} is none: write http://HOST:PORT, https://HOST:PORT or HOST:PORT")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(f"{parts.scheme}://{host}:{port}", f"{host}:{port}", parts.scheme == "https")
