"""A worker without a library, see docs/protocol.md: `python worker.py HOST:PORT`."""
import queue, random, sys, threading, time, uuid

import grpc
from jobstream.v1 import job_pb2, payload_pb2, worker_service_pb2 as v1
from jobstream.v1.worker_service_pb2_grpc import WorkerServiceStub

FATAL = {grpc.StatusCode[name] for name in "INVALID_ARGUMENT UNIMPLEMENTED UNAUTHENTICATED PERMISSION_DENIED".split()}

class Stopped(Exception):
    """Raised by a handler after its `stop` event was set."""

class Worker:
    def __init__(self, name, slots, handlers):
        self.handlers, self.lock, self.requests = handlers, threading.Lock(), None
        self.hello = v1.Hello(protocol_version=1, name=name, instance_id=str(uuid.uuid4()), kinds=handlers, slots=slots)
        self.running = {}  # Stop events of the handlers by lease.
        self.reports, self.sequence = [], 0  # Unacknowledged reports, and the last number.
        self.lease, self.idle_timeout, self.renewed_at, self.draining = 30, 30, 0, False

    def run(self, channel):
        threading.Thread(target=self.watchdog, daemon=True).start()
        delay = 0.05
        while not (self.draining and not self.running and not self.reports):
            began = time.monotonic()
            try:
                self.run_stream(WorkerServiceStub(channel))
            except grpc.RpcError as error:
                if error.code() in FATAL:
                    raise
            delay = 0.05 if time.monotonic() - began > 5 else min(2 * delay, 5)
            time.sleep(delay * random.random())

    def run_stream(self, stub):
        requests, self.last_received = queue.SimpleQueue(), time.monotonic()
        with self.lock:
            self.hello.held_lease_ids[:] = {*self.running, *(report.lease_id for report in self.reports)}
            requests.put(v1.WorkRequest(hello=self.hello))
        self.call = stub.Work(iter(requests.get, None))
        try:
            for response in self.call:
                with self.lock:
                    self.last_received = time.monotonic()
                    self.handle(response, requests)
        finally:
            self.requests = None
            requests.put(None)

    def handle(self, response, requests):
        if response.HasField("welcome"):
            limits, self.requests, self.renewed_at = response.welcome, requests, self.last_received
            self.lease, self.idle_timeout = seconds(limits.lease), 3 * seconds(limits.ping_interval)
            self.stop(set(self.running) - set(limits.standing_lease_ids))
            self.reports = [report for report in self.reports if report.report_sequence > limits.acked_report_sequence]
            for report in self.reports:  # Before newer ones: numbers must increase.
                self.send(reports=[report])
            print("connected as", limits.worker_id, flush=True)
        for job in response.assignments:
            self.running[job.lease_id] = threading.Event()
            threading.Thread(target=self.attempt, args=[job, self.running[job.lease_id]], daemon=True).start()
            self.send(accepted_lease_ids=[job.lease_id])
        self.stop(cancel.lease_id for cancel in response.cancels)
        self.stop(refusal.lease_id for refusal in response.ack.refusals)
        self.reports = [report for report in self.reports if report.report_sequence > response.ack.report_sequence]
        if response.HasField("ping"):
            self.renewed_at = self.last_received
            self.send(heartbeat=v1.WorkerHeartbeat(lease_ids=self.running))
        if response.HasField("drain"):
            self.draining = not response.drain.server_shutdown
            timer = threading.Timer(seconds(response.drain.time_left), lambda: self.stop(list(self.running)))
            timer.daemon = True
            timer.start()
        if self.draining and not self.running and not self.reports:
            requests.put(None)  # Closes the request side; the server ends the stream.

    def attempt(self, job, stop):
        try:
            report = {"complete": v1.AttemptComplete(result=self.handlers[job.kind](job, stop))}
        except Stopped:
            report = {"release": v1.AttemptRelease()}  # Ends a cancelled job; releases any other.
        except Exception as error:
            report = {"fail": v1.AttemptFail(failure=job_pb2.Failure(message=str(error), retryable=True))}
        with self.lock:  # Exactly one final report per assignment, even after its lease was lost.
            self.sequence += 1
            self.reports.append(v1.AttemptReport(lease_id=job.lease_id, report_sequence=self.sequence, **report))
            del self.running[job.lease_id]
            self.send(reports=self.reports[-1:])

    def send(self, **parts):
        if self.requests:
            self.requests.put(v1.WorkRequest(**parts))

    def stop(self, leases):
        for lease in set(leases) & set(self.running):
            self.running[lease].set()

    def watchdog(self):  # Cancels an idle stream, and all handlers once their leases may have expired.
        while True:
            time.sleep(min(self.lease, self.idle_timeout) / 10)
            if self.requests and time.monotonic() - self.last_received > self.idle_timeout:
                self.call.cancel()
            if time.monotonic() - self.renewed_at > self.lease:
                self.stop(list(self.running))

def seconds(span):
    return span.seconds + span.nanos / 1e9

def shout(job, stop):
    return payload_pb2.Payload(text=job.payload.text.upper())

def nap(job, stop):
    if stop.wait(float(job.payload.text)):
        raise Stopped
    return payload_pb2.Payload(text="rested")

if __name__ == "__main__":
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 5000)]
    with grpc.insecure_channel(sys.argv[1], options) as channel:
        Worker("python", 4, {"shout": shout, "nap": nap}).run(channel)
