"""Converts between the lines of the agent protocol and the JSON of the API."""

import base64
import json
import sys
import threading

writing = threading.Lock()


def write(number, **fields):
    with writing:
        sys.stdout.write(json.dumps({"id": number, **fields}) + "\n")
        sys.stdout.flush()


class ApiError(Exception):
    """An error of a call. `code` is a gRPC code by name; "" if there was no call."""

    def __init__(self, code, reason, message, problem=None):
        super().__init__(message)
        self.code, self.reason, self.message, self.problem = code, reason, message, problem or {}

    @property
    def is_transient(self):
        return self.code == "UNAVAILABLE" or (self.code == "RESOURCE_EXHAUSTED" and "retryAfter" in self.problem)


class JobEnded(Exception):
    """A job that ended without a result: the failure or the cancellation of its outcome."""

    def __init__(self, outcome):
        super().__init__("the job ended without a result")
        self.outcome = outcome


class NotFinished(Exception):
    """The timeout of a wait passed."""


CLASSES_BY_REASON = {
    "JOB_NOT_FOUND": "job_not_found",
    "SERVER_RESTARTED": "server_restarted",
    "RESULT_EXPIRED": "result_expired",
    "JOB_ID_REUSED": "job_id_reused",
    "ILLEGAL_STATE": "illegal_state",
}
CLASSES_BY_CODE = {
    "INVALID_ARGUMENT": "invalid_request",
    "RESOURCE_EXHAUSTED": "resource_exhausted",
    "UNAVAILABLE": "unavailable",
    "DEADLINE_EXCEEDED": "deadline_exceeded",
    "": "invalid_argument",
}


def error_of(error):
    if isinstance(error, NotFinished):
        return {"class": "not_finished", "reason": "", "message": str(error)}
    if isinstance(error, JobEnded):
        return outcome_error(error.outcome)
    if not isinstance(error, ApiError):
        return {"class": "other", "reason": type(error).__name__, "message": repr(error)}
    name = CLASSES_BY_REASON.get(error.reason) or CLASSES_BY_CODE.get(error.code, "other")
    violations = [violation["field"] for violation in error.problem.get("violations", [])]
    return {"class": name, "reason": error.reason, "message": error.message, "violations": violations}


def outcome_error(outcome):
    if "cancellation" in outcome:
        cancellation = {name: outcome["cancellation"][name] for name in ("reason", "forced")}
        return {"class": "job_cancelled", "reason": "", "message": "the job was cancelled", "cancellation": cancellation}
    failure = {name: outcome["failure"][name] for name in ("reason", "type", "message", "attempt", "retryable")}
    failure["reason"] = failure["reason"].removeprefix("FAILURE_REASON_")
    return {"class": "job_failed", "reason": "", "message": f"the job failed: {failure['message']}", "failure": failure}


def problem_error(problem):
    """The error of a problem: RFC 9457."""
    return ApiError(problem["code"], problem["reason"], problem["detail"], problem)


def result_of(outcome):
    """The payload of the result of an outcome."""
    if "result" not in outcome:
        raise JobEnded(outcome)
    return outcome["result"]


def duration(milliseconds):
    return f"{milliseconds / 1000:.3f}s"


def seconds(text):
    return float(text.removesuffix("s"))


def to_api(payload):
    """A payload of the protocol as one of the API."""
    if payload["type"] == "json":
        return {"text": json.dumps(json.loads(payload["text"])), "contentType": "application/json"}
    if payload["type"] == "text":
        return {"text": payload["text"]}
    return {"data": payload["base64"], "contentType": payload["content_type"]}


def from_api(payload):
    """A payload of the API as one of the protocol."""
    content_type = payload.get("contentType", "")
    if "json" in payload:
        return {"type": "json", "text": json.dumps(payload["json"])}
    if "text" in payload and content_type.startswith("application/json"):
        return {"type": "json", "text": json.dumps(json.loads(payload["text"]))}
    if "text" in payload:
        return {"type": "text", "text": payload["text"]}
    data = base64.b64decode(payload.get("data", ""))
    return {"type": "data", "base64": base64.b64encode(data).decode(), "content_type": content_type}


def spec_of(line):
    """The JobSpec of a submit."""
    spec = {"kind": line["kind"], "payload": to_api(line["payload"])}
    spec |= {name: line[name] for name in ("queue", "priority", "labels", "headers") if name in line}
    times = {"delay": "startDelay", "timeout": "timeout", "attempt_timeout": "attemptTimeout", "retention": "retention"}
    spec |= {field: duration(line[name]) for name, field in times.items() if name in line}
    if "trace_context" in line:
        spec["traceContext"] = line["trace_context"]
    retry = {}
    if "max_attempts" in line:
        retry["maxAttempts"] = line["max_attempts"]
    if "initial_backoff" in line:
        retry["initialBackoff"] = duration(line["initial_backoff"])
    return spec | ({"retry": retry} if retry else {})


def state_of(name):
    return name.removeprefix("JOB_STATE_")


def watch_item(name, event):
    """A server-sent event as an item of a watch."""
    if name == "gap":
        return {"type": "gap", "first": event["first"], "last": event["last"]}
    item = {"sequence": event["sequence"], "attempt": event["attempt"]}
    content = event[name]
    if name == "stateChange":
        failure = content.get("failure") or content.get("outcome", {}).get("failure", {})
        return item | {"type": "state", "state": state_of(content["state"]), "failure": failure.get("message")}
    if name == "progress":
        return item | {"type": "progress"} | {key: content.get(key) for key in ("fraction", "done", "total", "unit", "message")}
    if name == "output":
        return item | {"type": "output", "payload": from_api(content["payload"]), "channel": content["channel"]}
    return item | {"type": "log", "text": content["text"], "level": content["level"].removeprefix("LOG_LEVEL_").lower()}


def feed_item(name, item):
    """A server-sent event as an item of a feed."""
    if name == "gap":
        return {"type": "gap", "missed": int(item["missed"])}
    change = {"type": "change", "job_id": item["jobId"], "kind": item["kind"], "queue": item["queue"]}
    return change | {"labels": item["labels"], "event": watch_item("stateChange", item["event"])}
