"""A worker by POST /v1/leases and /v1/reports, as a script without streams would be."""

import threading
import time
import uuid

import wire
from calls import Backoff
from handlers import HANDLERS, Attempt
from wire import ApiError

LEASE_WAIT = 0.05
"""The longest wait of one request for jobs, in seconds. A worker that stops waits for its end."""
RENEW_INTERVAL = 0.1
"""The pause between requests that renew leases and return cancels, in seconds."""
REPORTS_MAX, REPORT_BYTES_MAX = 1_000, 1 << 20
LEASE_LOST = "LEASE_LOST"
PERMANENT_STATUSES = (401, 403, 404)
"""Statuses of a proxy that end a worker."""


class Worker:
    def __init__(self, http, line, emit, held):
        self.http, self.emit, self.held = http, emit, held
        self.slots = line["slots"]
        self.handlers = {kind: HANDLERS[behaviour] for kind, behaviour in line["handlers"].items()}
        self.request = {"name": line["name"], "kinds": list(self.handlers)}
        if "message_bytes_max" in line:
            self.request["messageBytesMax"] = line["message_bytes_max"]
        self.lease_request = None
        self.changed = threading.Condition()
        self.attempts = {}
        self.is_draining = self.is_stopping = self.is_connected = self.has_ended = False
        self.is_leasing = True
        self.lease_time = 30.0
        self.error = None

    def run(self):
        """Returns once the worker was drained or stopped. Raises the error that ended it."""
        reporting = threading.Thread(target=self.report_all, daemon=True)
        reporting.start()
        self.lease_all()
        with self.changed:
            self.is_draining, self.is_leasing = True, False
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.attempts)
            self.has_ended = True
            self.changed.notify_all()
        reporting.join()
        if self.error:
            raise self.error

    def lease_all(self):
        """Leases jobs until the worker drains."""
        backoff = Backoff()
        while self.has_free_slot():
            try:
                self.lease()
                backoff = Backoff()
            except ApiError as error:
                self.is_connected = False
                if is_permanent(error):
                    self.error = error
                    return
                with self.changed:
                    self.changed.wait_for(lambda: self.is_draining, backoff.pause(error))

    def drain(self, within):
        """Finishes running attempts, and releases those that need longer."""
        with self.changed:
            self.is_draining = True
            self.changed.notify_all()
            # A released job must not come back with the last answer.
            self.changed.wait_for(lambda: not self.is_leasing)
            self.changed.wait_for(lambda: self.has_ended, within)
            for attempt in self.attempts.values():
                attempt.cancel(is_released=True)
            self.changed.wait_for(lambda: self.has_ended)

    def stop(self):
        """Releases all attempts. Gives up if the server cannot be reached."""
        self.is_stopping = True
        self.drain(0)

    def has_free_slot(self):
        """Waits for a free slot; false once the worker drains."""
        with self.changed:
            self.changed.wait_for(lambda: self.is_draining or len(self.attempts) < self.slots)
            return not self.is_draining

    def lease(self):
        with self.changed:
            free = self.slots - len(self.attempts)
        # A repeat of a request whose answer was lost returns the same leases.
        self.lease_request = self.lease_request or {**self.request, "maxJobs": free, "requestId": str(uuid.uuid4())}
        body = self.lease_request | {"wait": f"{LEASE_WAIT}s"}
        _, leased = self.http.wait("POST", "/v1/leases", body, LEASE_WAIT)
        self.lease_request = None
        self.connected()
        self.lease_time = wire.seconds(leased["lease"])
        for assignment in leased["assignments"]:
            attempt = Attempt(assignment, self.emit, self.held, self.changed)
            with self.changed:
                self.attempts[attempt.lease_id] = attempt
            if self.is_draining:
                attempt.cancel(is_released=True)
            threading.Thread(target=attempt.run, args=(self.handlers[attempt.kind],), daemon=True).start()

    def connected(self):
        if not self.is_connected:
            self.is_connected = True
            self.emit({"type": "connected"})

    def report_all(self):
        """Sends reports and renews leases until the worker has ended."""
        while not self.has_ended:
            with self.changed:
                has_news = lambda: self.has_ended or any(attempt.reports for attempt in self.attempts.values())  # noqa: E731
                self.changed.wait_for(has_news, RENEW_INTERVAL)
                if not self.attempts:
                    continue
                reports, lease_ids = self.next_reports(), list(self.attempts)
            began = time.monotonic()
            try:
                body = {"reports": [report for _, report in reports], "leaseIds": lease_ids}
                _, response = self.http.wait("POST", "/v1/reports", body, self.lease_time / 4, self.lease_time / 4)
            except ApiError:
                self.is_connected = False
                self.expire(began)
                if self.is_stopping:
                    self.forget_all()
                time.sleep(RENEW_INTERVAL)
                continue
            self.connected()
            self.take(reports, response, lease_ids, began)

    def next_reports(self):
        reports, size = [], 0
        for attempt in self.attempts.values():
            for report in attempt.reports:
                size += len(str(report))
                if reports and (len(reports) == REPORTS_MAX or size > REPORT_BYTES_MAX):
                    return reports
                reports.append((attempt, report))
        return reports

    def take(self, reports, response, lease_ids, began):
        """Processes the response to a report: refusals, cancels and ends."""
        with self.changed:
            for lease_id in lease_ids:
                self.attempts[lease_id].renewed = began
            for (attempt, report), result in zip(reports, response["results"], strict=True):
                attempt.reports.popleft()
                if result.get("reason") == LEASE_LOST:
                    attempt.revoke()
                if report is attempt.end or (attempt.is_revoked and attempt.has_returned):
                    self.attempts.pop(attempt.lease_id, None)
            for cancel in response["cancels"]:
                if attempt := self.attempts.get(cancel["leaseId"]):
                    attempt.revoke() if cancel["revoked"] else attempt.cancel()
            self.changed.notify_all()

    def forget_all(self):
        with self.changed:
            self.attempts.clear()
            self.changed.notify_all()

    def expire(self, now):
        """Cancels the attempts whose leases have expired: the server may have given their jobs to other workers."""
        with self.changed:
            for attempt in self.attempts.values():
                if now - attempt.renewed > self.lease_time:
                    attempt.revoke()


def is_permanent(error):
    return error.problem.get("status") in PERMANENT_STATUSES or error.code == "INVALID_ARGUMENT"
