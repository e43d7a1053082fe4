"""A worker at its server: one stream, opened again whenever it breaks, until the worker has ended.

It keeps the rules of docs/protocol.md. Threads: one reads the stream, one guards the clocks, one ends the worker.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

import grpc

from .. import errors
from ..backoff import Backoff
from ..connection import open_channel
from ..options import Address, ClientOptions
from ..times import from_duration
from ..v1 import worker_service_pb2
from ..v1.worker_service_pb2_grpc import WorkerServiceStub
from .desk import Desk
from .ledger import Ledger
from .requests import requests

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
"""Seconds before it connects again. A thousand workers must not come back at once, and leases wait 800 ms."""
WELCOME_TIMEOUT = 10.0
SILENT_PINGS_MAX = 3
STOP_TIMEOUT = 2.0
"""What handlers that were told to stop get to heed it, when the worker ends."""
SETTLE_TIMEOUT = 2.0
"""What the server gets to acknowledge the last reports."""
CLOSE_TIMEOUT = 0.5
"""What the server gets to end a stream after the worker closed its side."""
FINAL = {
    grpc.StatusCode[name] for name in ("INVALID_ARGUMENT", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED")
}
"""What the server would say again."""

log = logging.getLogger("jobstream.worker")


def tell(level: int, message: str, *facts: object) -> None:
    """Logs. What a handler of the program's logs raises is no reason to end a worker."""
    with contextlib.suppress(Exception):
        log.log(level, message, *facts)


class Session:
    """What one run of a worker is made of."""

    def __init__(
        self,
        address: Address,
        options: ClientOptions,
        hello: worker_service_pb2.Hello,
        desk: Desk,
        on_connect: Callable[[str], None] | None,
    ) -> None:
        self.address, self.options, self.hello, self.desk = address, options, hello, desk
        self.ledger: Ledger = desk.ledger
        self.on_connect = on_connect
        self.lock = threading.Condition()
        self.drain_until: float | None = None
        """Until when what runs may finish, once draining."""
        self.leave_until: float | None = None
        """The same, on a stream whose server shuts down."""
        self.silence_max = WELCOME_TIMEOUT
        self.heard = time.monotonic()
        self.call: grpc.Call | None = None
        self.settled = threading.Event()
        """Nothing is left to tell: no connection is needed any more."""
        self.ended = threading.Event()
        self.connected = threading.Event()
        self.refusal: errors.JobstreamError | None = None
        """Why no further try could help."""

    def start(self) -> None:
        for role in (self.keep_connected, self.guard, self.finish):
            threading.Thread(target=role, name=f"jobstream-worker-{role.__name__}", daemon=True).start()

    def drain(self, within: float) -> None:
        """Takes nothing more, lets what runs finish within this long, and gives back the rest. Does not wait."""
        until = time.monotonic() + within
        with self.lock:
            self.drain_until = until if self.drain_until is None else min(until, self.drain_until)
            self.lock.notify_all()

    # The thread that reads.

    def keep_connected(self) -> None:
        """Stays connected until nothing is left to tell, and ends the worker."""
        try:
            self.connect_always()
        except Exception as error:  # noqa: BLE001  A worker that cannot go on must not seem to.
            broken = errors.JobstreamError(f"worker {self.hello.name} broke: {error!r}")
            broken.__cause__ = error
            self.refuse(broken)
        finally:
            self.settled.set()
            self.ended.set()
            with self.lock:
                self.lock.notify_all()

    def connect_always(self) -> None:
        """Connects, and again whenever the connection broke."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not self.settled.is_set():
            began = time.monotonic()
            error = self.connection()
            self.connected.clear()
            self.ledger.cut()
            if self.settled.is_set():
                break
            if error.code in {code.name for code in FINAL}:
                self.refuse(error)
                break
            if time.monotonic() - began > LONGEST_PAUSE:
                backoff.reset()
            pause = backoff.pause(error.retry_after)
            tell(logging.INFO, "worker %s connects again in %.2f s: %s", self.hello.name, pause, error)
            self.settled.wait(pause)

    def refuse(self, error: errors.JobstreamError) -> None:
        self.refusal = error
        self.desk.stop_all()
        self.desk.wait_idle(time.monotonic() + STOP_TIMEOUT)

    def connection(self) -> errors.JobstreamError:
        """One connection, from the hello to its end. Answers why it ended.

        Each has a channel of its own, so that the pauses of the library are none of ours.
        """
        channel = open_channel(self.address, self.options)
        try:
            self.converse(WorkerServiceStub(channel))
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call):
                return errors.unavailable(self.address.url, str(error))
            return errors.from_call(error, self.address.url)
        finally:
            self.call = None
            channel.close()
        return errors.unavailable(self.address.url, "the server ended the stream")

    def converse(self, stub: WorkerServiceStub) -> None:
        self.heard, self.silence_max, self.leave_until = time.monotonic(), WELCOME_TIMEOUT, None
        responses = stub.Work(requests(self.ledger, self.hello))
        self.call = responses
        for response in responses:
            self.heard = time.monotonic()
            self.handle(response)

    def handle(self, response: worker_service_pb2.WorkResponse) -> None:
        """Does as the server says, in the order of the fields."""
        if response.HasField("welcome"):
            self.welcome(response.welcome)
        for assignment in response.assignments:
            if not self.settled.is_set():
                self.desk.begin(assignment)
        for cancel in response.cancels:
            self.desk.stop(cancel.lease_id)
        self.acknowledge(response.ack)
        if response.HasField("ping"):
            self.ledger.beat()
        if response.HasField("drain"):
            self.told_to_drain(response.drain)

    def welcome(self, welcome: worker_service_pb2.Welcome) -> None:
        self.silence_max = SILENT_PINGS_MAX * max(0.05, from_duration(welcome.ping_interval))
        for lease in self.ledger.welcome(welcome):
            self.desk.stop(lease)
        self.connected.set()
        tell(logging.INFO, "worker %s is connected to %s as %s", self.hello.name, self.address.url, welcome.worker_id)
        if self.on_connect is not None:
            try:
                self.on_connect(welcome.worker_id)
            except Exception as error:  # noqa: BLE001  What a listener raises is no reason to end a worker.
                tell(logging.WARNING, "on_connect of worker %s raised: %r", self.hello.name, error)

    def acknowledge(self, ack: worker_service_pb2.ReportAck) -> None:
        for refusal in ack.refusals:
            if refusal.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]:
                self.desk.stop(refusal.lease_id)
            else:
                tell(logging.WARNING, "the server refused a report of %s: %s", refusal.lease_id, refusal.error.message)
        if ack.report_sequence:
            self.ledger.acknowledge(ack.report_sequence)

    def told_to_drain(self, drain: worker_service_pb2.Drain) -> None:
        within = from_duration(drain.time_left)
        if not drain.server_shutdown:
            self.drain(within)
            return
        with self.lock:
            self.leave_until = time.monotonic() + within
            self.lock.notify_all()
        threading.Thread(target=self.leave, args=(self.call,), name="jobstream-worker-leave", daemon=True).start()

    def leave(self, call: grpc.Call | None) -> None:
        """Before a server shuts down: lets what runs finish in time, gives back the rest, and closes the stream."""
        if not self.desk.wait_idle(self.leave_until or 0.0):
            self.desk.stop_all()
        self.desk.wait_idle(time.monotonic() + STOP_TIMEOUT)
        self.ledger.wait_settled(SETTLE_TIMEOUT)
        if self.call is call:
            self.ledger.end_stream()

    # The thread that guards.

    def guard(self) -> None:
        """Leaves a silent server; stops what runs once the server may have given it to others."""
        while not self.ended.wait(min(1.0, min(self.ledger.lease, self.silence_max) / 20)):
            now = time.monotonic()
            call = self.call
            if call is not None and now - self.heard > self.silence_max:
                call.cancel()
            if now > self.ledger.fence() and self.desk.running:
                self.desk.stop_all()
                if call is not None:
                    call.cancel()

    # The thread that ends.

    def finish(self) -> None:
        """Once told to end: takes nothing more, lets what runs finish, gives back the rest."""
        with self.lock:
            self.lock.wait_for(lambda: self.drain_until is not None or self.ended.is_set())
        self.ledger.set_slots(0)
        self.wait_idle()
        self.desk.stop_all()
        self.desk.wait_idle(time.monotonic() + STOP_TIMEOUT)
        self.desk.abandon_all()
        if not self.ledger.wait_settled(SETTLE_TIMEOUT):
            tell(logging.WARNING, "worker %s ends before its last reports were acknowledged", self.hello.name)
        self.settled.set()
        self.ledger.end_stream()
        if not self.ended.wait(CLOSE_TIMEOUT) and (call := self.call) is not None:
            call.cancel()

    def wait_idle(self) -> None:
        """Waits until nothing runs, or the time is up, which may be moved nearer meanwhile."""
        while (until := self.drain_until) is not None and time.monotonic() < until:
            if self.desk.wait_idle(min(until, time.monotonic() + 0.1)):
                return
