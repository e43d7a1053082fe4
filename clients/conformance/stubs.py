"""Generated stubs, for calls of a scenario that do not use the client under test."""

import atexit
import importlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

import grpc
import grpc_tools
from google.protobuf import json_format
from google.protobuf import struct_pb2 as struct
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]


def generate():
    out = Path(tempfile.mkdtemp(prefix="jobstream-stubs-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    protos = sorted(str(path) for path in (ROOT / "proto" / "jobstream").rglob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    arguments = [f"-I{ROOT / 'proto'}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    if protoc.main(["protoc", *arguments, *protos]) != 0:
        raise RuntimeError(f"protoc failed for {protos}")
    sys.path.insert(0, str(out))


generate()
admin_service = importlib.import_module("jobstream.v1.admin_service_pb2")
admin_stub = importlib.import_module("jobstream.v1.admin_service_pb2_grpc").AdminServiceStub
job_service = importlib.import_module("jobstream.v1.job_service_pb2")
job_stub = importlib.import_module("jobstream.v1.job_service_pb2_grpc").JobServiceStub
job = importlib.import_module("jobstream.v1.job_pb2")
worker_service = importlib.import_module("jobstream.v1.worker_service_pb2")
worker_stub = importlib.import_module("jobstream.v1.worker_service_pb2_grpc").WorkerServiceStub

BATCH_JOBS_MAX = 1_000
WAIT_TIMEOUT = 20
"""Timeout in seconds of a wait for a state."""


class Raw:
    """Calls to the server with generated stubs."""

    def __init__(self, address):
        soon = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
        self.channel = grpc.insecure_channel(address, soon)
        self.jobs = job_stub(self.channel)
        self.admin = admin_stub(self.channel)
        self.work = worker_stub(self.channel)

    def job(self, job_id):
        request = job_service.GetJobRequest(job_id=job_id)
        return self.jobs.GetJob(request, timeout=10, wait_for_ready=True).job

    def submit_json(self, kind, value):
        """Submits a job with a payload in the `json` field; returns its id."""
        spec = job.JobSpec(kind=kind)
        spec.payload.json.CopyFrom(json_format.ParseDict(value, struct.Value()))
        request = job_service.SubmitRequest(job=spec)
        return self.jobs.Submit(request, timeout=10, wait_for_ready=True).job_id

    def submit_text(self, kind, text):
        """Submits a job with plain text; returns its id."""
        request = job_service.SubmitRequest(job=job.JobSpec(kind=kind, payload={"text": text}))
        return self.jobs.Submit(request, timeout=10, wait_for_ready=True).job_id

    def submit_many(self, kind, jobs, queue):
        """Submits this number of jobs without a payload; returns their ids."""
        ids = []
        for first in range(0, jobs, BATCH_JOBS_MAX):
            specs = [job.JobSpec(kind=kind, queue=queue)] * min(BATCH_JOBS_MAX, jobs - first)
            request = job_service.BatchSubmitRequest(jobs=specs)
            results = self.jobs.BatchSubmit(request, timeout=10, wait_for_ready=True).results
            ids += [result.submitted.job_id for result in results]
        return ids

    def report(self, kind, *reports):
        """Leases a job of this kind and reports this of its attempt."""
        request = worker_service.LeaseRequest(name="raw", kinds=[kind], wait={"seconds": 5})
        (assignment,) = self.work.Lease(request, timeout=10).assignments
        named = [worker_service.AttemptReport(lease_id=assignment.lease_id, **report) for report in reports]
        results = self.work.Report(worker_service.ReportRequest(reports=named), timeout=10).results
        assert not any(result.code for result in results), results

    def wait_reason(self, job_id):
        return job.WaitReason.Name(self.job(job_id).wait_reason).removeprefix("WAIT_REASON_")

    def wait(self, job_id, seconds):
        """Waits for the outcome; None after this time."""
        request = job_service.GetResultRequest(job_id=job_id, wait={"seconds": seconds})
        response = self.jobs.GetResult(request, timeout=seconds + 10)
        return response.outcome if response.HasField("outcome") else None

    def state(self, job_id):
        return job.JobState.Name(self.job(job_id).state).removeprefix("JOB_STATE_")

    def labelled(self, **labels):
        """The jobs with these labels."""
        request = job_service.ListJobsRequest(labels=labels, page_size=1000)
        return list(self.jobs.ListJobs(request, timeout=10, wait_for_ready=True).jobs)

    def of_kind(self, kind):
        """The jobs of this kind."""
        request = job_service.ListJobsRequest(kind=kind, page_size=1000)
        return list(self.jobs.ListJobs(request, timeout=10, wait_for_ready=True).jobs)

    def feed_cursor(self):
        """The cursor of a feed that begins now."""
        feed = self.jobs.WatchJobs(job_service.WatchJobsRequest(), timeout=10, wait_for_ready=True)
        cursor = next(feed).cursor
        feed.cancel()
        return cursor

    def workers(self, name):
        request = admin_service.ListWorkersRequest(page_size=1000)
        response = self.admin.ListWorkers(request, timeout=10, wait_for_ready=True)
        return [worker for worker in response.workers if worker.name == name]

    def wait_worker(self, name, **fields):
        """Waits until the worker has these values."""
        until = time.monotonic() + WAIT_TIMEOUT
        while time.monotonic() < until:
            (worker,) = self.workers(name)
            if all(getattr(worker, field) == value for field, value in fields.items()):
                return
            time.sleep(0.02)
        raise AssertionError(f"worker {name} does not have {fields}: {worker}")

    def draining(self):
        return self.admin.GetServerInfo(admin_service.GetServerInfoRequest(), timeout=10).draining

    def drain_worker(self, name):
        self.admin.DrainWorker(admin_service.DrainWorkerRequest(worker=name), timeout=10)

    def close(self):
        self.channel.close()
