"""Tests the code that the blocking and the asyncio client share: addresses, back-off, cursors, errors."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from jobstream import (
    ClientOptions,
    Gap,
    InvalidRequest,
    JobNotFound,
    JobstreamError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from jobstream.backoff import Backoff, CallRetries, ReconnectBackoff
from jobstream.events import Cursor, Log, StateChange, read_event
from jobstream.options import Address
from jobstream.outcome import read_failure, read_job
from jobstream.status import STATUS_DETAILS, from_status
from jobstream.v1 import job_pb2, job_service_pb2


@pytest.mark.parametrize(
    ("text", "target", "is_tls"),
    [
        ("http://127.0.0.1:7070", "127.0.0.1:7070", False),
        ("https://jobs.example.com", "jobs.example.com:443", True),
        ("jobs:1234", "jobs:1234", False),
        ("http://[::1]:80/", "[::1]:80", False),
    ],
)
def test_address_is_parsed(text: str, target: str, is_tls: bool) -> None:
    address = Address.parse(text)
    assert (address.target, address.is_tls) == (target, is_tls)


@pytest.mark.parametrize("text", ["ftp://x:1", "http://x:port", "http://x:1/path", "http://"])
def test_invalid_address_error_shows_the_syntax(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Address.parse(text)


def test_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSTREAM_ADDRESS", "https://there:99")
    assert Address.parse(None).url == "https://there:99"
    monkeypatch.delenv("JOBSTREAM_ADDRESS")
    assert Address.parse(None).url == "http://127.0.0.1:7070"


def test_backoff_doubles_and_adds_the_delay_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    backoff = Backoff(0.1, 0.5)
    assert [backoff.pause() for _ in range(4)] == [0.1, 0.2, 0.4, 0.5]
    assert backoff.pause(7.0) == 7.5


def test_unknown_enum_values_are_decoded_as_unknown() -> None:
    job = job_pb2.Job(job_id="a", state=99, wait_reason=8, outcome={"failure": {"reason": 99}})  # type: ignore[arg-type]
    assert read_job(job).state == "UNKNOWN"
    assert read_failure(job.outcome.failure).reason == "UNKNOWN"
    log = read_event(job_pb2.JobEvent(log={"level": 99, "text": "line", "stream": 99}))  # type: ignore[arg-type]
    assert isinstance(log, Log)
    assert (log.level, log.text) == ("unknown", "line")
    change = read_event(job_pb2.JobEvent(state_change={"state": 2, "wait_reason": 8}))  # type: ignore[arg-type]
    assert isinstance(change, StateChange)
    assert change.state == "QUEUED"


def test_retries_stop_at_the_limit() -> None:
    retries = CallRetries(ClientOptions(tries=2, first_pause=0.0))
    retries.timeout()
    assert retries.pause(Unavailable("away")) == 0.0
    retries.timeout()
    with pytest.raises(Unavailable, match="away; gave up after 2 tries"):
        retries.pause(Unavailable("away"))


def test_only_transient_errors_are_retried() -> None:
    with pytest.raises(JobNotFound):
        CallRetries(ClientOptions()).pause(JobNotFound("gone"))
    with pytest.raises(ResourceExhausted):
        CallRetries(ClientOptions()).pause(ResourceExhausted("quota, without RetryInfo"))


def test_reconnect_gives_up_after_patience_and_a_response_resets_it() -> None:
    reconnect = ReconnectBackoff(ClientOptions(patience=60.0))
    for now in (0.0, 30.0, 59.0):
        reconnect.pause(Unavailable("away"), now)
    with pytest.raises(Unavailable, match=r"61\.0 s without a response"):
        reconnect.pause(Unavailable("away"), 61.0)
    reconnect.connected()
    reconnect.pause(Unavailable("away"), 62.0)


def log_event(sequence: int) -> job_service_pb2.WatchResultResponse:
    event = job_pb2.JobEvent(sequence=sequence, log=job_pb2.Log(text="x"))
    return job_service_pb2.WatchResultResponse(event=event)


def test_cursor_returns_each_item_once() -> None:
    cursor = Cursor("id", 2, 15.0)
    assert cursor.advance(log_event(2)) is None
    assert cursor.advance(log_event(3)) is not None
    gap = job_service_pb2.WatchResultResponse(gap=job_service_pb2.Gap(first=1, last=5))
    assert cursor.advance(gap) == Gap(4, 5)
    assert cursor.advance(gap) is None
    assert cursor.request().after_sequence == 5


def server_error(code: grpc.StatusCode, reason: str, domain: str = "jobstream") -> JobstreamError:
    details = [
        error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata={"limit": "7"}),
        error_details_pb2.RetryInfo(retry_delay={"seconds": 2}),
        error_details_pb2.BadRequest(field_violations=[{"field": "job.kind", "description": "is empty"}]),
    ]
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    status = status_pb2.Status(details=packed).SerializeToString()
    return from_status(code, "message of the server", [(STATUS_DETAILS, status)], "http://jobs:7070")


def test_error_has_all_details_of_the_server() -> None:
    error = server_error(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert isinstance(error, InvalidRequest)
    assert (error.code, error.reason, error.retry_after) == ("INVALID_ARGUMENT", "INVALID_FIELD", 2.0)
    assert error.metadata == {"limit": "7"}
    assert str(error.violations[0]) == "job.kind: is empty"
    assert str(error) == "message of the server (INVALID_FIELD, server http://jobs:7070)"


@pytest.mark.parametrize(
    ("code", "reason", "kind", "is_transient"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_EXPIRED", Unauthenticated, False),
        (grpc.StatusCode.PERMISSION_DENIED, "GRANT_MISSING", PermissionDenied, False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA", ResourceExhausted, True),
        (grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_EXPIRED", Unavailable, True),
    ],
)
def test_errors_of_access_have_types(
    code: grpc.StatusCode, reason: str, kind: type[JobstreamError], is_transient: bool
) -> None:
    error = server_error(code, reason)
    assert (type(error), error.reason, error.retry_after, error.is_transient) == (kind, reason, 2.0, is_transient)


def test_reason_of_another_domain_is_ignored() -> None:
    error = server_error(grpc.StatusCode.INTERNAL, "UPSTREAM", domain="proxy")
    assert isinstance(error, Unavailable)
    assert error.reason == ""


@pytest.mark.parametrize(
    ("status", "code", "is_transient"),
    [
        (400, "INTERNAL", False),
        (401, "UNAUTHENTICATED", False),
        (403, "PERMISSION_DENIED", False),
        (404, "UNIMPLEMENTED", False),
        (413, "UNKNOWN", False),
        (429, "UNAVAILABLE", True),
        (502, "UNAVAILABLE", True),
        (503, "UNAVAILABLE", True),
        (504, "UNAVAILABLE", True),
    ],
)
def test_http_error_of_a_proxy_has_its_grpc_code(status: int, code: str, is_transient: bool) -> None:
    message = f"Received http2 header with status: {status}"
    error = from_status(grpc.StatusCode.UNKNOWN, message, [], "http://jobs:7070")
    assert (error.code, error.is_transient) == (code, is_transient)
    assert str(error).startswith(f"http://jobs:7070 responded with HTTP status {status}")


def test_malformed_details_are_ignored() -> None:
    error = from_status(grpc.StatusCode.NOT_FOUND, "", [(STATUS_DETAILS, b"\xff\xff")], "http://jobs:7070")
    assert type(error) is JobstreamError
    assert error.code == "NOT_FOUND"
