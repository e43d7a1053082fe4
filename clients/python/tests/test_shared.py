"""What blocking and asyncio code share: addresses, pauses, cursors, errors."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from jobstream import ClientOptions, Gap, InvalidRequest, JobNotFound, JobstreamError, ResourceExhausted, Unavailable
from jobstream.backoff import Backoff, Endurance, Tries
from jobstream.errors import STATUS_DETAILS, from_status
from jobstream.events import Cursor, Log, StateChange, read_event
from jobstream.options import Address
from jobstream.outcome import read_failure, read_job
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
def test_address_is_read(text: str, target: str, is_tls: bool) -> None:
    address = Address.parse(text)
    assert (address.target, address.is_tls) == (target, is_tls)


@pytest.mark.parametrize("text", ["ftp://x:1", "http://x:port", "http://x:1/path", "http://"])
def test_no_address_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Address.parse(text)


def test_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSTREAM_ADDRESS", "https://there:99")
    assert Address.parse(None).url == "https://there:99"
    monkeypatch.delenv("JOBSTREAM_ADDRESS")
    assert Address.parse(None).url == "http://127.0.0.1:7070"


def test_pauses_double_and_what_is_asked_comes_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    backoff = Backoff(0.1, 0.5)
    assert [backoff.pause() for _ in range(4)] == [0.1, 0.2, 0.4, 0.5]
    assert backoff.pause(7.0) == 7.5


def test_enum_values_of_a_newer_server_are_read_as_unknown() -> None:
    job = job_pb2.Job(job_id="a", state=99, wait_reason=8, outcome={"failure": {"reason": 99}})  # type: ignore[arg-type]
    assert read_job(job).state == "UNKNOWN"
    assert read_failure(job.outcome.failure).reason == "UNKNOWN"
    log = read_event(job_pb2.JobEvent(log={"level": 99, "text": "line", "stream": 99}))  # type: ignore[arg-type]
    assert isinstance(log, Log)
    assert (log.level, log.text) == ("unknown", "line")
    change = read_event(job_pb2.JobEvent(state_change={"state": 2, "wait_reason": 8}))  # type: ignore[arg-type]
    assert isinstance(change, StateChange)
    assert change.state == "QUEUED"


def test_tries_end() -> None:
    tries = Tries(ClientOptions(tries=2, first_pause=0.0))
    tries.timeout()
    assert tries.pause(Unavailable("away")) == 0.0
    tries.timeout()
    with pytest.raises(Unavailable, match="away; gave up after 2 tries"):
        tries.pause(Unavailable("away"))


def test_only_what_may_pass_is_tried_again() -> None:
    with pytest.raises(JobNotFound):
        Tries(ClientOptions()).pause(JobNotFound("gone"))
    with pytest.raises(ResourceExhausted):
        Tries(ClientOptions()).pause(ResourceExhausted("quota, without RetryInfo"))


def test_patience_ends_and_a_word_renews_it() -> None:
    endurance = Endurance(ClientOptions(patience=60.0))
    for now in (0.0, 30.0, 59.0):
        endurance.pause(Unavailable("away"), now)
    with pytest.raises(Unavailable, match=r"61\.0 s without a word"):
        endurance.pause(Unavailable("away"), 61.0)
    endurance.renew()
    endurance.pause(Unavailable("away"), 62.0)


def log_event(sequence: int) -> job_service_pb2.WatchResultResponse:
    event = job_pb2.JobEvent(sequence=sequence, log=job_pb2.Log(text="x"))
    return job_service_pb2.WatchResultResponse(event=event)


def test_cursor_tells_nothing_twice() -> None:
    cursor = Cursor("id", 2, 15.0)
    assert cursor.unseen(log_event(2)) is None
    assert cursor.unseen(log_event(3)) is not None
    gap = job_service_pb2.WatchResultResponse(gap=job_service_pb2.Gap(**{"from": 1, "to": 5}))
    assert cursor.unseen(gap) == Gap(4, 5)
    assert cursor.unseen(gap) is None
    assert cursor.request().after_sequence == 5


def told(code: grpc.StatusCode, reason: str, domain: str = "jobstream") -> JobstreamError:
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
    return from_status(code, "it says so", [(STATUS_DETAILS, status)], "http://jobs:7070")


def test_what_the_server_says_is_kept_whole() -> None:
    error = told(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert isinstance(error, InvalidRequest)
    assert (error.code, error.reason, error.retry_after) == ("INVALID_ARGUMENT", "INVALID_FIELD", 2.0)
    assert error.metadata == {"limit": "7"}
    assert str(error.violations[0]) == "job.kind: is empty"
    assert str(error) == "it says so (INVALID_FIELD, server http://jobs:7070)"


def test_a_reason_that_is_not_ours_is_none() -> None:
    error = told(grpc.StatusCode.INTERNAL, "UPSTREAM", domain="proxy")
    assert isinstance(error, Unavailable)
    assert error.reason == ""


def test_garbage_in_the_details_is_borne() -> None:
    error = from_status(grpc.StatusCode.NOT_FOUND, "", [(STATUS_DETAILS, b"\xff\xff")], "http://jobs:7070")
    assert type(error) is JobstreamError
    assert error.code == "NOT_FOUND"
