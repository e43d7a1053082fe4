"""The request stream of a worker. Each message carries everything that waits in the report buffer."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..v1 import worker_service_pb2
from .report_buffer import Phase, ReportBuffer

REQUEST_BYTES = 1 << 20
"""Size in bytes above which a message takes no further report. A larger report is sent alone."""
LEASES_MAX = 10_000
"""Most leases that a message accepts, and most that its heartbeat lists: about 400 KB each."""
UNACKNOWLEDGED_MAX = 4096
"""Number of unacknowledged reports above which progress is coalesced."""


def requests(buffer: ReportBuffer, hello: worker_service_pb2.Hello) -> Iterator[worker_service_pb2.WorkRequest]:
    """The requests of one connection, starting with Hello. They end when another connection begins.

    gRPC iterates in a thread of its own, so this may block.
    """
    stream = buffer.begin_stream(hello)
    return numbered(buffer, stream, worker_service_pb2.WorkRequest(hello=hello))


def numbered(
    buffer: ReportBuffer, stream: int, first: worker_service_pb2.WorkRequest
) -> Iterator[worker_service_pb2.WorkRequest]:
    yield first
    while (request := next_request(buffer, stream)) is not None:
        yield request


def next_request(buffer: ReportBuffer, stream: int) -> worker_service_pb2.WorkRequest | None:
    """Waits for the next message; None at the end of the stream."""
    with buffer.changed:
        while buffer.stream == stream:
            if buffer.phase is not Phase.HELLO_SENT:
                request = build_request(buffer)
                if request.ByteSize():
                    return request
                if buffer.accepted:
                    continue
                if buffer.phase is Phase.ENDING:
                    return None
            buffer.changed.wait()
        return None


def build_request(buffer: ReportBuffer) -> worker_service_pb2.WorkRequest:
    """Builds a message of everything to send. The message is empty if there is nothing."""
    request = worker_service_pb2.WorkRequest()
    slots = buffer.usable_slots()
    if slots != buffer.slots_sent:
        request.slots = buffer.slots_sent = slots
    if buffer.heartbeat_requested:
        buffer.heartbeat_requested = False
        buffer.leases_renewed_at = time.monotonic()
        buffer.heartbeat_lease_ids = heartbeat_leases(buffer)
        request.heartbeat.SetInParent()
    if buffer.heartbeat_lease_ids:
        request.heartbeat.lease_ids.extend(buffer.heartbeat_lease_ids[:LEASES_MAX])
        buffer.heartbeat_lease_ids = buffer.heartbeat_lease_ids[LEASES_MAX:]
    if buffer.heartbeat_lease_ids:
        # A final report of a listed lease must not be sent before the rest of the heartbeat.
        return request
    # A final report accepts its lease implicitly.
    running = set(buffer.running())
    accepted, buffer.accepted = buffer.accepted[:LEASES_MAX], buffer.accepted[LEASES_MAX:]
    request.accepted_lease_ids.extend(lease for lease in accepted if lease in running)
    if len(buffer.reports) < UNACKNOWLEDGED_MAX:
        for lease, attempt in buffer.attempts.items():
            if not attempt.lease_lost:
                buffer.push_progress(lease, attempt)
    request.reports.extend(take_reports(buffer, request.ByteSize()))
    return request


def heartbeat_leases(buffer: ReportBuffer) -> list[str]:
    """Leases of running attempts, and of ended ones whose final report was not sent."""
    waiting = list(buffer.reports)[buffer.sent :]
    return [*buffer.running(), *(entry.report.lease_id for entry in waiting if entry.is_final)]


def take_reports(buffer: ReportBuffer, size: int) -> Iterator[worker_service_pb2.AttemptReport]:
    """The next unsent reports that fit into a message of this size."""
    while buffer.sent < len(buffer.reports):
        report = buffer.reports[buffer.sent].report
        bytes_more = report.ByteSize()
        if size and size + bytes_more > REQUEST_BYTES:
            return
        size += bytes_more
        buffer.sent += 1
        yield report
