"""What tools find without our files: health, reflection, and grpcurl as typed by hand."""

import json
import os
import shutil
import subprocess

import grpc
import pytest
from conftest import TIMEOUT
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICES = ["jobstream.v1.JobService", "jobstream.v1.WorkerService", "jobstream.v1.AdminService"]


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_health_is_serving(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_a_stranger_is_not_found(channel):
    request = health_pb2.HealthCheckRequest(service="no.such.Service")
    with pytest.raises(grpc.RpcError) as error:
        health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_lists_every_service(channel):
    listed = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert listed >= {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


def test_reflection_describes_what_our_files_do(api, channel):
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    ours = api.job_service_pb2.DESCRIPTOR.services_by_name["JobService"]
    served = pool.FindServiceByName("jobstream.v1.JobService")
    assert list(served.methods_by_name) == list(ours.methods_by_name)
    spec = pool.FindMessageTypeByName("jobstream.v1.JobSpec")
    assert list(spec.fields_by_name) == list(api.job_pb2.JobSpec.DESCRIPTOR.fields_by_name)


@pytest.fixture
def grpcurl(address):
    if not shutil.which("grpcurl"):
        assert "CI" not in os.environ, "grpcurl is missing"
        pytest.skip("grpcurl is not installed")

    def grpcurl(*words, data=None):
        command = ["grpcurl", "-plaintext", *(["-d", data] if data else []), address, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)

    return grpcurl


def test_grpcurl_lists_and_describes_with_comments(grpcurl):
    assert set(SERVICES) <= set(grpcurl("list").stdout.split())
    described = grpcurl("describe", "jobstream.v1.JobService.Submit").stdout
    assert "// Submit accepts one job." in described and "rpc Submit" in described


def test_grpcurl_runs_a_job_in_one_line(grpcurl):
    data = json.dumps({"job": {"kind": "demo.echo", "payload": {"json": {"hi": "there"}}}})
    answer = grpcurl("jobstream.v1.JobService/Run", data=data)
    assert answer.returncode == 0, answer.stderr
    assert "JOB_STATE_SUCCEEDED" in answer.stdout and '"hi": "there"' in answer.stdout


def test_grpcurl_shows_what_was_wrong(grpcurl):
    answer = grpcurl("jobstream.v1.JobService/Submit", data='{"job": {"kind": "a b"}}')
    assert answer.returncode != 0
    assert "INVALID_FIELD" in answer.stderr and "job.kind" in answer.stderr
