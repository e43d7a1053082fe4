"""Converts between the lines of the agent protocol and the types of the client."""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
from typing import Any, TypedDict

import jobstream
from jobstream import ChangeFilter, JobFilter, JobRequest, Payload, RetryPolicy, SubmitOptions

Line = dict[str, Any]

writing = threading.Lock()


class Size(TypedDict):
    """The input of the `typed` behaviour."""

    width: int


def write(number: int, **fields: object) -> None:
    with writing:
        sys.stdout.write(json.dumps({"id": number, **fields}) + "\n")
        sys.stdout.flush()


def read_payload(line: Line) -> object:
    """Converts a payload of the protocol to an input or a result."""
    match line["type"]:
        case "json":
            return json.loads(line["text"])
        case "text":
            return Payload.from_text(line["text"])
        case _:
            return Payload.from_bytes(base64.b64decode(line["base64"]), line["content_type"])


def write_payload(payload: Payload, value: object) -> Line:
    """Converts a payload and its decoded value to the protocol."""
    if payload.is_json:
        return {"type": "json", "text": json.dumps(value)}
    if isinstance(value, str):
        return {"type": "text", "text": value}
    return {"type": "data", "base64": base64.b64encode(payload.bytes).decode(), "content_type": payload.content_type}


def echoed(payload: Payload, value: object) -> object:
    """The result of the `echo` behaviour."""
    if payload.is_json:
        return value
    if isinstance(value, str):
        return Payload.from_text(value)
    return Payload.from_bytes(payload.bytes, payload.content_type)


def seconds(line: Line, name: str) -> float | None:
    return line[name] / 1000 if name in line else None


CREDENTIALS = ("ca", "client_certificate", "client_key", "token", "metadata")


def client_options(line: Line) -> jobstream.ClientOptions:
    options: Line = {name: line[name] / 1000 for name in ("call_timeout", "patience") if name in line}
    options |= {name: line[name] for name in ("tries", "message_bytes_max", *CREDENTIALS) if name in line}
    if "tokens" in line:
        tokens = iter(line["tokens"])
        options["token"] = lambda: next(tokens, line["tokens"][-1])
    return jobstream.ClientOptions(**options)


def submit_options(line: Line) -> SubmitOptions:
    options: Line = {name: line[name] for name in ("job_id", "queue", "priority", "labels", "headers") if name in line}
    if "trace_context" in line:
        options["trace_context"] = jobstream.TraceContext(**line["trace_context"])
    times = ("delay", "timeout", "attempt_timeout", "retention")
    options |= {name: line[name] / 1000 for name in times if name in line}
    if "initial_backoff" in line:
        options["retry"] = RetryPolicy(line.get("max_attempts", 1), initial_backoff=line["initial_backoff"] / 1000)
    elif "max_attempts" in line:
        options["max_attempts"] = line["max_attempts"]
    return SubmitOptions(**options)  # type: ignore[typeddict-item]


def job_filter(line: Line) -> JobFilter:
    fields: Line = {name: line[name] for name in ("kind", "queue", "labels") if name in line}
    if "state" in line:
        fields["states"] = line["state"]
    return JobFilter(**fields)  # type: ignore[typeddict-item]


def change_filter(line: Line) -> ChangeFilter:
    fields = {name: line[name] for name in ("states", "kind", "queue", "labels") if name in line}
    return ChangeFilter(**fields)  # type: ignore[typeddict-item]


def job_request(line: Line) -> JobRequest:
    return JobRequest(line["kind"], read_payload(line["payload"]), **submit_options(line))


def listed(job: jobstream.JobInfo) -> Line:
    return {"job_id": job.id, "kind": job.kind, "queue": job.queue, "state": job.state}


def counted(queue: jobstream.Queue) -> Line:
    return {"name": queue.name, "waiting": queue.waiting, "running": queue.running, "paused": queue.paused}


def watch_item(event: jobstream.WatchItem) -> Line:
    """Converts an item of a watch."""
    if isinstance(event, jobstream.Gap):
        return {"type": "gap", "first": event.first, "last": event.last}
    line: Line = {"sequence": event.sequence, "attempt": event.attempt}
    match event:
        case jobstream.StateChange():
            line |= {"type": "state", "state": event.state, "failure": event.failure and event.failure.message}
        case jobstream.Progress():
            line |= {"type": "progress", "fraction": event.fraction, "message": event.message}
            line |= {"done": event.done, "total": event.total, "unit": event.unit}
        case jobstream.Output():
            payload = write_payload(event.payload, jobstream.payload.decode(event.payload))
            line |= {"type": "output", "payload": payload, "channel": event.channel}
        case jobstream.Log():
            line |= {"type": "log", "text": event.text, "level": event.level}
    return line


def feed_item(item: jobstream.FeedItem, cursor: str) -> Line:
    """Converts an item of a feed."""
    if isinstance(item, jobstream.FeedGap):
        return {"type": "gap", "missed": item.missed, "cursor": cursor}
    line: Line = {"type": "change", "job_id": item.job_id, "kind": item.kind, "queue": item.queue}
    return line | {"labels": dict(item.labels), "event": watch_item(item.event), "cursor": cursor}


def error_of(error: BaseException) -> Line:
    if not isinstance(error, jobstream.JobstreamError):
        return {"class": "other", "reason": type(error).__name__, "message": str(error)}
    names = [kind.__name__ for kind in type(error).__mro__ if kind in ERROR_CLASSES]
    line: Line = {"class": snake_case(names[0]) if names else "other", "reason": error.reason, "message": error.message}
    if isinstance(error, jobstream.InvalidRequest) and not error.code:
        line["class"] = "invalid_argument"
    if isinstance(error, jobstream.JobFailed):
        failure = error.failure
        line["failure"] = {name: getattr(failure, name) for name in FAILURE_FIELDS}
    elif isinstance(error, jobstream.JobCancelled):
        line["cancellation"] = {"reason": error.cancel_reason, "forced": error.forced}
    line["violations"] = [violation.field for violation in error.violations]
    return line


def settled(context: jobstream.Context | jobstream.AsyncContext, error: jobstream.JobstreamError | None) -> Line:
    """The event of a callback of `on_settled`."""
    return {"type": "settled", "job_id": context.job_id, "error": error and error_of(error)}


FAILURE_FIELDS = ("reason", "type", "message", "attempt", "retryable")
ERROR_CLASSES = {
    jobstream.JobFailed,
    jobstream.JobCancelled,
    jobstream.NotFinished,
    jobstream.JobNotFound,
    jobstream.ServerRestarted,
    jobstream.ResultExpired,
    jobstream.JobIdReused,
    jobstream.InvalidRequest,
    jobstream.IllegalState,
    jobstream.ResourceExhausted,
    jobstream.Unavailable,
    jobstream.DeadlineExceeded,
}


def snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def fail(line: Line) -> None:
    """The `fail` behaviour."""
    match line["mode"]:
        case "permanent":
            raise jobstream.PermanentError(line["message"])
        case "later":
            raise jobstream.RetryLater(0.05, line["message"])
        case "panic":
            raise SystemExit(line["message"])
        case _:
            raise RuntimeError(line["message"])


def info(context: jobstream.Context | jobstream.AsyncContext) -> Line:
    """The `info` behaviour."""
    return {
        "job_id": context.job_id,
        "attempt": context.attempt,
        "kind": context.kind,
        "queue": context.queue,
        "headers": dict(context.headers),
        "deadline": round(context.time_left * 1000),
    }


def trace(context: jobstream.Context | jobstream.AsyncContext) -> Line:
    """The `trace` behaviour."""
    trace = context.trace_context or jobstream.TraceContext()
    return {"traceparent": trace.traceparent, "tracestate": trace.tracestate, "baggage": trace.baggage}


def named(payload: Payload, name: str) -> Payload:
    """A payload with the name of an interceptor."""
    if name == "refuse":
        raise RuntimeError("refused")
    return Payload.from_text(json.dumps([*payload.json(), name]), "application/json")


def change(spec: jobstream.JobSpec, name: str) -> None:
    """Changes a job for a submit interceptor."""
    spec.payload = named(spec.payload, name)
    spec.headers["by"] = spec.headers.get("by", "") + name
