"""The session of a worker: one Work stream that is opened again when it breaks, until the worker has ended.

docs/protocol.md has the rules. One thread reads the stream, one watches the timeouts, one drains the worker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

import grpc

from .. import errors, status
from ..access import Access
from ..backoff import Backoff, NewToken
from ..connection import open_channel
from ..options import ClientOptions
from ..times import from_duration
from ..v1 import worker_service_pb2
from ..v1.worker_service_pb2_grpc import WorkerServiceStub
from .logs import log_safely
from .report_buffer import ReportBuffer
from .requests import requests
from .runner import AttemptRunner

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
"""Reconnect back-off in seconds. The jitter spreads the workers of one server; leases outlive a short disconnect."""
WELCOME_TIMEOUT = 10.0
SILENT_PINGS_MAX = 3
STOP_TIMEOUT = 2.0
"""Time for cancelled handlers to stop when the worker ends, in seconds."""
ACKNOWLEDGE_TIMEOUT = 2.0
"""Time to wait for the acknowledgement of the last reports, in seconds."""
CLOSE_TIMEOUT = 0.5
"""Time to wait for the server to close the stream, in seconds."""
FATAL_CODES = {
    grpc.StatusCode[name] for name in ("INVALID_ARGUMENT", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED")
}
"""Status codes that a retry cannot change."""


def is_fatal(error: errors.JobstreamError, was_connected: bool) -> bool:
    """Whether a retry cannot help. A server that a worker was connected to may get a valid certificate again."""
    if isinstance(error, errors.Unavailable):
        return not error.is_transient and not was_connected
    return isinstance(error, errors.InvalidRequest) or error.code in {code.name for code in FATAL_CODES}


class Session:
    """The state of one run of a worker."""

    def __init__(
        self,
        access: Access,
        options: ClientOptions,
        hello: worker_service_pb2.Hello,
        runner: AttemptRunner,
        on_connect: Callable[[str], None] | None,
    ) -> None:
        self.access, self.options, self.hello, self.runner = access, options, hello, runner
        self.address = access.address
        self.buffer: ReportBuffer = runner.buffer
        self.on_connect = on_connect
        self.lock = threading.Condition()
        self.drain_until: float | None = None
        """Deadline for running attempts while the worker drains."""
        self.idle_timeout = WELCOME_TIMEOUT
        self.last_received = time.monotonic()
        self.call: grpc.Call | None = None
        self.drained = threading.Event()
        """Set once all reports were sent: no connection is needed any more."""
        self.ended = threading.Event()
        self.connected = threading.Event()
        self.fatal_error: errors.JobstreamError | None = None
        """The error that ended the worker."""

    def start(self) -> None:
        for role in (self.keep_connected, self.watchdog, self.finish):
            threading.Thread(target=role, name=f"jobstream-worker-{role.__name__}", daemon=True).start()

    def drain(self, within: float) -> None:
        """Starts to drain: accepts no new jobs and releases running attempts after `within`. Does not wait."""
        until = time.monotonic() + within
        with self.lock:
            self.drain_until = until if self.drain_until is None else min(until, self.drain_until)
            self.lock.notify_all()

    # Reader thread.

    def keep_connected(self) -> None:
        """Stays connected until the worker is drained, then ends it."""
        try:
            self.reconnect_loop()
        except Exception as error:  # noqa: BLE001  The worker must end, not hang.
            failure = errors.JobstreamError(f"worker {self.hello.name} failed: {error!r}")
            failure.__cause__ = error
            self.fail(failure)
        finally:
            self.runner.failures.flush(now=True)
            self.drained.set()
            self.buffer.close()
            self.ended.set()
            with self.lock:
                self.lock.notify_all()

    def reconnect_loop(self) -> None:
        """Connects, and reconnects with back-off."""
        backoff, new_token = Backoff(FIRST_PAUSE, LONGEST_PAUSE), NewToken(self.options)
        level, was_connected = logging.WARNING, False
        while not self.drained.is_set():
            began = time.monotonic()
            error = self.connect_once()
            if self.connected.is_set():
                self.connected.clear()
                new_token.reset()
                level, was_connected = logging.WARNING, True
            self.buffer.abort_stream()
            if self.drained.is_set():
                break
            if new_token.take(error):
                continue
            if is_fatal(error, was_connected):
                self.fail(error)
                break
            if time.monotonic() - began > LONGEST_PAUSE:
                backoff.reset()
            pause = backoff.pause(error.retry_after)
            log_safely(level, "worker %s is not connected, next try in %.2f s: %s", self.hello.name, pause, error)
            # Only the first line of an outage is a warning.
            level = logging.INFO
            self.drained.wait(pause)

    def fail(self, error: errors.JobstreamError) -> None:
        self.fatal_error = error
        self.runner.stop_all()
        self.runner.wait_idle(time.monotonic() + STOP_TIMEOUT)

    def connect_once(self) -> errors.JobstreamError:
        """Runs one connection. Returns why it ended.

        Each has a channel of its own, so that the reconnect back-off of gRPC does not apply.
        """
        channel = open_channel(self.access, self.options)
        try:
            self.run_stream(WorkerServiceStub(channel))
        except errors.JobstreamError as error:
            return error  # The token function failed.
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call):
                return errors.unavailable(self.address.url, str(error))
            return status.from_call(error, self.address.url)
        finally:
            self.call = None
            channel.close()
        return errors.unavailable(self.address.url, "the server ended the stream")

    def run_stream(self, stub: WorkerServiceStub) -> None:
        self.last_received, self.idle_timeout = time.monotonic(), WELCOME_TIMEOUT
        responses = stub.Work(requests(self.buffer, self.hello))
        self.call = responses
        for response in responses:
            self.last_received = time.monotonic()
            self.handle(response)

    def handle(self, response: worker_service_pb2.WorkResponse) -> None:
        """Handles a message in the order of its fields."""
        if response.HasField("welcome"):
            self.welcome(response.welcome)
        for assignment in response.assignments:
            self.runner.begin(assignment)
        for cancel in response.cancels:
            if cancel.revoked:
                self.buffer.revoke(cancel.lease_id)
            self.runner.stop(cancel.lease_id)
        self.acknowledge(response.ack)
        if response.HasField("ping"):
            self.buffer.request_heartbeat()
        if response.HasField("drain"):
            self.on_drain(response.drain)

    def welcome(self, welcome: worker_service_pb2.Welcome) -> None:
        self.idle_timeout = SILENT_PINGS_MAX * max(0.05, from_duration(welcome.ping_interval))
        for lease in self.buffer.welcome(welcome, self.refused(welcome.refusals)):
            self.runner.stop(lease)
        self.connected.set()
        log_safely(
            logging.INFO, "worker %s is connected to %s as %s", self.hello.name, self.address.url, welcome.worker_id
        )
        if self.on_connect is not None:
            try:
                self.on_connect(welcome.worker_id)
            except Exception as error:  # noqa: BLE001  An exception of a callback must not end the worker.
                log_safely(logging.WARNING, "on_connect of worker %s raised: %r", self.hello.name, error)

    def acknowledge(self, ack: worker_service_pb2.ReportAck) -> None:
        refusals = self.refused(ack.refusals)
        if ack.report_sequence:
            self.buffer.acknowledge(ack.report_sequence, refusals)

    def refused(self, wire: Iterable[worker_service_pb2.ReportRefusal]) -> dict[int, errors.JobstreamError]:
        """Stops the attempts whose leases are lost. Returns the errors of refused reports by their numbers."""
        refusals: dict[int, errors.JobstreamError] = {}
        for refusal in wire:
            refusals[refusal.report_sequence] = status.from_rpc_status(refusal.error, self.address.url)
            if refusal.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]:
                self.buffer.revoke(refusal.lease_id)
                self.runner.stop(refusal.lease_id)
            else:
                log_safely(
                    logging.WARNING,
                    "the server rejected a report of lease %s: %s",
                    refusal.lease_id,
                    refusal.error.message,
                )
        return refusals

    def on_drain(self, drain: worker_service_pb2.Drain) -> None:
        within = from_duration(drain.time_left)
        if not drain.server_shutdown:
            self.drain(within)
            return
        until = time.monotonic() + within
        threading.Thread(
            target=self.drain_stream, args=(self.call, until), name="jobstream-worker-drain", daemon=True
        ).start()

    def drain_stream(self, call: grpc.Call | None, until: float) -> None:
        """Drains before the server shuts down: waits for running attempts, releases the rest, and closes the stream.
        Once the stream is broken it does nothing: attempts may run for the next one."""
        if not self.runner.wait_idle(until) and self.call is call:
            self.runner.stop_all()
        self.runner.wait_idle(time.monotonic() + STOP_TIMEOUT)
        self.buffer.wait_acknowledged(ACKNOWLEDGE_TIMEOUT)
        if self.call is call:
            self.buffer.finish_stream()

    # Watchdog thread.

    def watchdog(self) -> None:
        """Cancels an idle stream. Cancels all attempts once their leases may have expired. Completes the log of failed
        attempts."""
        while not self.ended.wait(min(1.0, min(self.buffer.lease_duration, self.idle_timeout) / 20)):
            self.runner.failures.flush()
            now = time.monotonic()
            call = self.call
            if call is not None and now - self.last_received > self.idle_timeout:
                call.cancel()
            if now > self.buffer.lease_deadline() and self.runner.running:
                self.runner.stop_all()
                if call is not None:
                    call.cancel()

    # Drain thread.

    def finish(self) -> None:
        """Drains the worker once requested: accepts no new jobs, waits for running attempts, releases the rest."""
        with self.lock:
            self.lock.wait_for(lambda: self.drain_until is not None or self.ended.is_set())
        self.buffer.set_slots(0)
        self.wait_idle()
        self.runner.stop_all()
        self.runner.wait_idle(time.monotonic() + STOP_TIMEOUT)
        self.runner.abandon_all()
        if not self.buffer.wait_acknowledged(ACKNOWLEDGE_TIMEOUT):
            log_safely(logging.WARNING, "worker %s ends before its last reports were acknowledged", self.hello.name)
        log_safely(logging.INFO, "worker %s is drained", self.hello.name)
        self.drained.set()
        self.buffer.finish_stream()
        if not self.ended.wait(CLOSE_TIMEOUT) and (call := self.call) is not None:
            call.cancel()

    def wait_idle(self) -> None:
        """Waits until no attempt is running or the drain deadline has passed. The deadline may become earlier
        meanwhile."""
        while (until := self.drain_until) is not None and time.monotonic() < until:
            if self.runner.wait_idle(min(until, time.monotonic() + 0.1)):
                return
