"""Workers in Python: the one that docs/protocol.md shows, unchanged, against the real server; and Lease and Report."""

import contextlib
import importlib.util
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import grpc
import pytest
from conftest import TIMEOUT, ROOT, forward, serving
from google.protobuf import duration_pb2

EXAMPLE = ROOT / "examples" / "python" / "worker.py"


def seconds(number):
    return duration_pb2.Duration(seconds=number)


def until(what, is_so):
    end = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """Stubs made by the very command of the page."""
    page = (ROOT / "docs" / "protocol.md").read_text()
    command = re.search(r"^python -m grpc_tools\.protoc .*$", page, re.MULTILINE).group(0)
    stubs = tmp_path_factory.mktemp("worker-stubs")
    command = command.replace("python", sys.executable, 1).replace("_out=.", f"_out={stubs}")
    subprocess.run(command, shell=True, cwd=ROOT, check=True)
    return stubs


class Server:
    """A server with its stubs, and what tests ask of it."""

    def __init__(self, api, server, channel):
        self.api, self.address, self.process = api, server.address, server.process
        self.jobs = api.job_service_pb2_grpc.JobServiceStub(channel)
        self.admin = api.admin_service_pb2_grpc.AdminServiceStub(channel)
        self.workers = api.worker_service_pb2_grpc.WorkerServiceStub(channel)

    def submit(self, kind, text=""):
        job = self.api.job_pb2.JobSpec(kind=kind, payload=self.api.payload_pb2.Payload(text=text))
        return self.jobs.Submit(self.api.job_service_pb2.SubmitRequest(job=job), timeout=TIMEOUT).job_id

    def run(self, kind, text=""):
        """A job that runs."""
        job_id = self.submit(kind, text)
        request = self.api.job_service_pb2.WatchResultRequest(job_id=job_id)
        call = self.jobs.WatchResult(request, timeout=TIMEOUT)
        running = self.api.job_pb2.JOB_STATE_RUNNING
        assert any(message.event.state_change.state == running for message in call)
        call.cancel()
        return job_id

    def job(self, job_id):
        return self.jobs.GetJob(self.api.job_service_pb2.GetJobRequest(job_id=job_id), timeout=TIMEOUT).job

    def ended(self, job_id):
        """The whole job, once it has ended."""
        request = self.api.job_service_pb2.GetResultRequest(job_id=job_id, wait=seconds(TIMEOUT))
        assert self.jobs.GetResult(request, timeout=TIMEOUT).HasField("outcome")
        return self.job(job_id)

    def cancel(self, job_id):
        self.jobs.Cancel(self.api.job_service_pb2.CancelRequest(job_id=job_id), timeout=TIMEOUT)


@pytest.fixture
def serve(api):
    """Starts servers without the demo kinds, and ends them with the test."""
    with contextlib.ExitStack() as stack:

        def serve(flags=""):
            server = stack.enter_context(serving("--demo=false", *flags.split()))
            return Server(api, server, stack.enter_context(grpc.insecure_channel(server.address)))

        yield serve


@pytest.fixture
def start(stubs):
    """Starts the example as a process that has connected, and ends it with the test."""
    processes = []

    def start(address):
        process = subprocess.Popen(
            [sys.executable, "-u", EXAMPLE, address],
            env={**os.environ, "PYTHONPATH": str(stubs)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        lines = queue.SimpleQueue()
        threading.Thread(target=forward, args=(process.stdout, lines), daemon=True).start()
        assert re.fullmatch(r"connected as w\d+\n", lines.get(timeout=TIMEOUT))
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait(TIMEOUT)


@pytest.fixture
def example(api):
    """The example as a module, for handlers of our own."""
    spec = importlib.util.spec_from_file_location("worker_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def start(address, **handlers):
        soon = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]
        worker = module.Worker("in-process", 4, handlers)
        threading.Thread(target=worker.run, args=[grpc.insecure_channel(address, soon)], daemon=True).start()
        return worker

    return start


def test_jobs_run_and_a_failure_is_reported(api, serve, start):
    server = serve()
    start(server.address)
    assert server.ended(server.submit("shout", "hello")).outcome.result.text == "HELLO"
    failure = server.ended(server.submit("nap", "not a number")).outcome.failure
    assert failure.reason == api.job_pb2.FAILURE_REASON_HANDLER and "could not convert" in failure.message


def test_cancel_reaches_the_handler(api, serve, start):
    server = serve()
    start(server.address)
    job_id = server.run("nap", "600")
    server.cancel(job_id)
    job = server.ended(job_id)
    assert job.state == api.job_pb2.JOB_STATE_CANCELLED and not job.outcome.cancellation.forced


def test_job_of_a_killed_worker_is_leased_again(api, serve, start):
    server = serve("--worker-reconnect-grace 100ms")
    first = start(server.address)
    job_id = server.run("nap", "1")
    first.kill()
    start(server.address)
    job = server.ended(job_id)
    assert (job.outcome.result.text, job.attempt) == ("rested", 2)
    assert job.attempts[0].failure.reason == api.job_pb2.FAILURE_REASON_WORKER_LOST


def test_attempt_may_last_longer_than_a_lease(serve, start):
    server = serve("--worker-ping-interval 200ms --worker-lease 1s")
    start(server.address)
    job = server.ended(server.submit("nap", "2.5"))
    assert (job.outcome.result.text, job.attempt) == ("rested", 1)


def test_attempt_and_its_result_outlive_the_connection(api, serve, example):
    server = serve("--worker-lease 20s --worker-reconnect-grace 15s")
    first, second = threading.Event(), threading.Event()

    def wait(job, stop):
        (first if job.payload.text == "first" else second).wait(TIMEOUT)
        return api.payload_pb2.Payload(text="done")

    with Wire(server.address) as wire:
        worker = example(wire.address, wait=wait)
        jobs = [server.run("wait", "first"), server.run("wait", "second")]
        wire.cut()
        first.set()
        until("the first has ended", lambda: worker.reports)
        wire.mend()
        until("the first is acknowledged", lambda: not worker.reports)
        second.set()
        for job in map(server.ended, jobs):
            assert (job.outcome.result.text, job.attempt) == ("done", 1)


def test_silent_server_is_left_and_what_runs_is_stopped(api, serve, example):
    server = serve("--worker-ping-interval 200ms --worker-lease 1s")
    stopped = threading.Event()

    def wait(job, stop):
        if job.attempt == 1:
            stop.wait(TIMEOUT)
            stopped.set()
        return api.payload_pb2.Payload(text=f"of attempt {job.attempt}")

    example(server.address, wait=wait)
    job_id = server.run("wait")
    server.process.send_signal(signal.SIGSTOP)
    assert stopped.wait(TIMEOUT), "the worker knows the end of its lease by itself"
    server.process.send_signal(signal.SIGCONT)
    job = server.ended(job_id)
    assert job.outcome.result.text == "of attempt 2"
    assert job.attempts[0].failure.reason == api.job_pb2.FAILURE_REASON_WORKER_LOST


def test_operator_drains_it_and_it_ends(api, serve, start):
    server = serve()
    worker = start(server.address)
    short, long = server.run("nap", "0.5"), server.run("nap", "600")
    request = api.admin_service_pb2.DrainWorkerRequest(worker="python", within=seconds(2))
    server.admin.DrainWorker(request, timeout=TIMEOUT)
    assert worker.wait(TIMEOUT) == 0
    assert server.ended(short).outcome.result.text == "rested"
    assert server.job(long).state == api.job_pb2.JOB_STATE_QUEUED, "released"


def test_lease_and_report_need_no_stream(api, serve):
    server, v1 = serve(), api.worker_service_pb2
    job_id = server.submit("by-hand", "hello")
    answer = server.workers.Lease(v1.LeaseRequest(name="caller", kinds=["by-hand"], wait=seconds(5)), timeout=TIMEOUT)
    (assignment,) = answer.assignments
    assert (assignment.job_id, assignment.payload.text, answer.lease) == (job_id, "hello", seconds(30))

    def report(**news):
        reports = [v1.AttemptReport(lease_id=assignment.lease_id, **news)]
        return server.workers.Report(v1.ReportRequest(reports=reports), timeout=TIMEOUT)

    assert report(progress=api.job_pb2.Progress(fraction=0.5)).results[0].code == 0
    complete = v1.AttemptComplete(result=api.payload_pb2.Payload(text="done"))
    assert report(complete=complete).results[0].code == 0
    assert server.ended(job_id).outcome.result.text == "done"
    again = report(complete=complete)
    assert again.results[0].code == grpc.StatusCode.FAILED_PRECONDITION.value[0] and again.cancels[0].revoked


class Wire:
    """A way to a server that can be cut, and mended."""

    def __init__(self, target):
        host, port = target.split(":")
        self.target, self.pairs, self.is_cut = (host, int(port)), [], False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near = self.listener.accept()[0]
                if self.is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self.target)
                self.pairs.append((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self.pass_on, args=pair, daemon=True).start()

    @staticmethod
    def pass_on(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self.is_cut = True
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self):
        self.is_cut = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()
        self.listener.close()
