"""Every error names its reason, and what was wrong in a form that a program reads."""

import uuid

import grpc
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

UNKNOWN = "018f3b3e-0000-7000-8000-000000000000"


@pytest.fixture
def call(api, jobs):
    """Calls an RPC; its request is given as keyword arguments."""

    def call(method, **request):
        return getattr(jobs, method)(getattr(api.job_service_pb2, f"{method}Request")(**request), timeout=10)

    return call


def refused(call, method, **request):
    """The code, the ErrorInfo and the other details of a call that must fail."""
    with pytest.raises(grpc.RpcError) as error:
        answer = call(method, **request)
        if hasattr(answer, "__next__"):
            list(answer)
    status = rpc_status.from_call(error.value)
    assert status is not None and status.message == error.value.details()
    info = detail(status, error_details_pb2.ErrorInfo)
    assert info.domain == "jobstream"
    return error.value.code(), info, status


def detail(status, message_type):
    """The one detail of this type."""
    found = [each for each in status.details if each.Is(message_type.DESCRIPTOR)]
    assert len(found) == 1, status
    message = message_type()
    found[0].Unpack(message)
    return message


def fields(status):
    return [violation.field for violation in detail(status, error_details_pb2.BadRequest).field_violations]


def test_wrong_field_is_named(call):
    code, info, status = refused(call, "Submit", job={"kind": ""})
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert fields(status) == ["job.kind"]


def test_every_wrong_field_is_named_at_once(call):
    spec = {"kind": "a b", "queue": "?", "priority": 101, "retry": {"max_attempts": 101}}
    code, info, status = refused(call, "Submit", job=spec)
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert fields(status) == ["job.kind", "job.queue", "job.priority", "job.retry.max_attempts"]


@pytest.mark.parametrize("method", ["GetResult", "GetJob", "WatchResult", "Cancel", "Retry", "Delete"])
def test_id_that_is_none_is_refused(call, method):
    code, info, status = refused(call, method, job_id="nonsense")
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert fields(status) == ["job_id"]


@pytest.mark.parametrize("method", ["GetResult", "GetJob", "WatchResult", "Cancel", "Retry", "Delete"])
def test_unknown_job_is_not_found(call, method):
    code, info, status = refused(call, method, job_id=UNKNOWN)
    assert (code, info.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    assert info.metadata["boot_id"]
    assert detail(status, error_details_pb2.ResourceInfo).resource_name == UNKNOWN


def test_payload_beyond_the_limit_is_refused(call):
    payload = {"data": bytes(1_048_577)}
    code, info, _ = refused(call, "Submit", job={"kind": "demo.echo", "payload": payload})
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE")
    assert info.metadata["size"] == "1048577" and info.metadata["limit"] == "1048576"


def test_id_of_another_job_is_refused(call):
    job_id = str(uuid.uuid4())
    call("Submit", job={"job_id": job_id, "kind": "demo.echo"})
    code, info, _ = refused(call, "Submit", job={"job_id": job_id, "kind": "demo.fail"})
    assert (code, info.reason) == (grpc.StatusCode.ALREADY_EXISTS, "JOB_ID_REUSED")


def test_call_that_the_state_forbids_is_refused(call):
    delay = duration_pb2.Duration(seconds=600)
    job_id = call("Submit", job={"kind": "demo.echo", "start_delay": delay}).job_id
    for method in ("Delete", "Retry"):
        code, info, _ = refused(call, method, job_id=job_id)
        assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ILLEGAL_STATE")
        assert info.metadata["state"] == "SCHEDULED"
    call("Cancel", job_id=job_id)


def test_refused_job_of_a_batch_has_the_same_details(call):
    results = call("BatchSubmit", jobs=[{"kind": "demo.echo"}, {"kind": ""}]).results
    error = results[1].error
    assert detail(error, error_details_pb2.ErrorInfo).reason == "INVALID_FIELD"
    assert fields(error)[0].endswith("kind")


def test_refused_run_sends_nothing(call):
    code, info, _ = refused(call, "Run", job={"kind": ""})
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


def test_unknown_method_is_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/jobstream.v1.JobService/Nothing")(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
