"""Attempts and the behaviours of their handlers, see ../README.md."""

import json
import queue
import threading
import time
from collections import deque

import wire


class Cancelled(Exception):
    """The handler stopped because it was cancelled."""


class Failed(Exception):
    """The handler failed with this failure."""

    def __init__(self, message, reason="HANDLER", retryable=False, retry_after=None):
        super().__init__(message)
        self.reason, self.retryable, self.retry_after = reason, retryable, retry_after


class Attempt:
    """A running attempt. `changed` is the condition of its worker."""

    def __init__(self, assignment, emit, held, changed):
        self.assignment, self.emit, self.held, self.changed = assignment, emit, held, changed
        self.lease_id, self.job_id, self.kind = (assignment[name] for name in ("leaseId", "jobId", "kind"))
        self.number, self.payload = assignment["attempt"], assignment.get("payload", {})
        self.began = self.renewed = time.monotonic()
        self.cancelled = threading.Event()
        self.is_released = self.is_revoked = self.has_returned = False
        self.reports = deque()
        self.end = None

    def cancel(self, is_released=False):
        self.is_released = is_released
        self.cancelled.set()

    def revoke(self):
        self.is_revoked = True
        self.cancelled.set()

    def run(self, handler):
        try:
            end = {"complete": {"result": wire.to_api(handler(self))}}
        except Cancelled:
            end = {"release": {}} if self.is_released else {"stopped": {}}
        except Failed as error:
            failure = {"reason": f"FAILURE_REASON_{error.reason}", "type": type(error).__name__, "message": str(error)}
            end = {"fail": {"failure": failure | {"retryable": error.retryable}}}
            if error.retry_after is not None:
                end["fail"]["retryAfter"] = error.retry_after
        except BaseException as error:  # noqa: BLE001
            failure = {"type": type(error).__name__, "message": str(error), "retryable": True}
            end = {"fail": {"failure": failure}}
        with self.changed:
            self.has_returned = True
            self.end = {"leaseId": self.lease_id, **end}
            self.reports.append(self.end)
            self.changed.notify_all()

    def report(self, **news):
        with self.changed:
            self.reports.append({"leaseId": self.lease_id, **news})
            self.changed.notify_all()

    def json(self):
        """The decoded payload; `Failed` if it is not JSON."""
        payload = wire.from_api(self.payload)
        if payload["type"] != "json":
            raise Failed("the payload is not JSON", "BAD_PAYLOAD")
        return json.loads(payload["text"])


def returned(value):
    return {"type": "json", "text": json.dumps(value)}


def echo(attempt):
    return wire.from_api(attempt.payload)


def stream(attempt):
    result = echo(attempt)
    attempt.report(output={"payload": wire.to_api(result), "channel": "out"})
    return result


def info(attempt):
    assignment = attempt.assignment
    left = wire.seconds(assignment["timeLeft"]) - (time.monotonic() - attempt.began)
    fields = {"job_id": attempt.job_id, "attempt": attempt.number, "kind": attempt.kind}
    return returned(fields | {"queue": assignment["queue"], "headers": assignment["headers"], "deadline": round(left * 1000)})


def trace(attempt):
    context = attempt.assignment.get("traceContext", {})
    return returned({name: context.get(name, "") for name in ("traceparent", "tracestate", "baggage")})


def emit_steps(attempt):
    chunks = attempt.json()["chunks"]
    for i in range(1, chunks + 1):
        attempt.report(progress={"fraction": i / chunks, "message": f"step {i}"})
        attempt.report(output={"payload": {"text": f"chunk {i}"}, "channel": "out"})
        attempt.report(log={"text": f"line {i}", "level": "LOG_LEVEL_WARN", "stream": "LOG_STREAM_LOG"})
    return returned(chunks)


def count(attempt):
    units = attempt.json()
    attempt.report(progress={"done": units["done"], "total": units["total"], "unit": "steps"})
    return returned(units["done"])


def fail(attempt):
    line = attempt.json()
    match line["mode"]:
        case "permanent":
            raise Failed(line["message"])
        case "later":
            raise Failed(line["message"], retryable=True, retry_after="0.05s")
        case "panic":
            raise SystemExit(line["message"])
        case _:
            raise RuntimeError(line["message"])


def typed(attempt):
    value = attempt.json()
    width = value.get("width")
    if not isinstance(width, int):
        raise Failed(f"width: is {width!r}, not an integer", "BAD_PAYLOAD")
    return returned(width * 2)


def held(attempt):
    """The queue from which the handler gets its result."""
    released = attempt.held[attempt.job_id] = queue.SimpleQueue()
    attempt.emit({"type": "started", "job_id": attempt.job_id, "attempt": attempt.number})
    return released


def hold(attempt):
    released = held(attempt)
    while True:
        try:
            return wire.from_api(released.get(timeout=0.01))
        except queue.Empty:
            if attempt.cancelled.is_set():
                attempt.emit({"type": "cancelled", "job_id": attempt.job_id})
                raise Cancelled from None


def ignore_cancel(attempt):
    return wire.from_api(held(attempt).get())


HANDLERS = {
    "echo": echo,
    "stream": stream,
    "info": info,
    "trace": trace,
    "emit": emit_steps,
    "count": count,
    "fail": fail,
    "typed": typed,
    "hold": hold,
    "ignore_cancel": ignore_cancel,
}
