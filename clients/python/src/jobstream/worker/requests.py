"""The stream of requests: whenever it is asked, one message of everything there is to tell."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..v1 import worker_service_pb2
from .ledger import Ledger, Phase

REQUEST_BYTES = 1 << 20
"""Bytes after which a message takes no further report. A larger report goes alone."""
LEASES_MAX = 10_000
"""Leases that a message accepts, and those that its heartbeat names, at most: about 400 KB each."""
UNACKNOWLEDGED_MAX = 4096
"""Reports on their way after which progress waits: only the newest is kept until then."""


def requests(ledger: Ledger, hello: worker_service_pb2.Hello) -> Iterator[worker_service_pb2.WorkRequest]:
    """Those of one connection, from its hello on; they end when a later connection begins.

    The library reads them in a thread of its own, so waiting here holds nothing up.
    """
    stream = ledger.greet(hello)
    return numbered(ledger, stream, worker_service_pb2.WorkRequest(hello=hello))


def numbered(
    ledger: Ledger, stream: int, first: worker_service_pb2.WorkRequest
) -> Iterator[worker_service_pb2.WorkRequest]:
    yield first
    while (request := next_request(ledger, stream)) is not None:
        yield request


def next_request(ledger: Ledger, stream: int) -> worker_service_pb2.WorkRequest | None:
    """Waits for something to tell; None at the end of the stream."""
    with ledger.news:
        while ledger.stream == stream:
            if ledger.phase is not Phase.GREETED:
                request = everything(ledger)
                if request.ByteSize():
                    return request
                if ledger.accepts:
                    continue
                if ledger.phase is Phase.ENDING:
                    return None
            ledger.news.wait()
        return None


def everything(ledger: Ledger) -> worker_service_pb2.WorkRequest:
    """One message of what there is to tell; empty if there is nothing."""
    request = worker_service_pb2.WorkRequest()
    slots = ledger.slots_due()
    if slots != ledger.slots_told:
        request.slots = ledger.slots_told = slots
    if ledger.heartbeat_due:
        ledger.heartbeat_due = False
        ledger.renewed = time.monotonic()
        ledger.beats = alive(ledger)
        request.heartbeat.SetInParent()
    if ledger.beats:
        request.heartbeat.lease_ids.extend(ledger.beats[:LEASES_MAX])
        ledger.beats = ledger.beats[LEASES_MAX:]
    if ledger.beats:
        # No report that ends one of them may overtake it.
        return request
    # What has ended since is accepted by its report.
    running = set(ledger.running())
    accepts, ledger.accepts = ledger.accepts[:LEASES_MAX], ledger.accepts[LEASES_MAX:]
    request.accepted_lease_ids.extend(lease for lease in accepts if lease in running)
    if len(ledger.reports) < UNACKNOWLEDGED_MAX:
        for lease, attempt in ledger.attempts.items():
            if not attempt.is_void:
                ledger.push_progress(lease, attempt)
    request.reports.extend(unsent(ledger, request.ByteSize()))
    return request


def alive(ledger: Ledger) -> list[str]:
    """What runs, and what has ended without the server having been told."""
    waiting = list(ledger.reports)[ledger.sent :]
    return [*ledger.running(), *(entry.report.lease_id for entry in waiting if entry.is_end)]


def unsent(ledger: Ledger, size: int) -> Iterator[worker_service_pb2.AttemptReport]:
    """The next reports that fit a message which has this size already."""
    while ledger.sent < len(ledger.reports):
        report = ledger.reports[ledger.sent].report
        bytes_more = report.ByteSize()
        if size and size + bytes_more > REQUEST_BYTES:
            return
        size += bytes_more
        ledger.sent += 1
        yield report
