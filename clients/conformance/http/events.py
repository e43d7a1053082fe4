"""Server-sent events of a job and of all jobs, resumed after lost connections."""

import json
import time
import urllib.parse

from calls import BROKEN, Backoff, hang_up
from wire import ApiError, problem_error, state_of

HEARTBEAT = 15.0
MISSED_MAX = 3
"""A stream is abandoned after this many missed heartbeats."""
FINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELLED")


class Watch:
    """The events of a job. `body` is the request of a run, which submits the job first, and `headers` are its headers."""

    def __init__(self, http, job_id, after=0, heartbeat=HEARTBEAT, types=(), body=None, headers=()):
        self.http, self.job_id, self.after, self.heartbeat = http, job_id, after, heartbeat
        self.last = ""
        self.types, self.body, self.headers = types, body, dict(headers)
        self.connection = None
        self.is_stopped = self.is_ended = False

    def stop(self):
        self.is_stopped = True
        if self.connection is not None:
            hang_up(self.connection)

    def __iter__(self):
        """Yields the name and the JSON of each event, to the last one of the job."""
        backoff, alive, tries = Backoff(), time.monotonic(), 0
        while not (self.is_stopped or self.is_ended):
            error = ApiError("UNAVAILABLE", "", f"the stream of {self.http.address} ended early")
            try:
                for item in self.stream():
                    backoff, alive, tries = Backoff(), time.monotonic(), 0
                    if item is not None:
                        yield item
            except ApiError as broken:
                error = broken
            except BROKEN as broken:
                error = self.http.broken(broken)
            if self.is_stopped or self.is_ended:
                return
            tries += 1
            pause = backoff.pause(error)
            is_transient = error.is_transient or error.code == "DEADLINE_EXCEEDED"
            is_over = tries >= self.http.tries if self.body else time.monotonic() + pause - alive > self.http.patience
            if not is_transient or is_over:
                raise error
            time.sleep(pause)

    def stream(self):
        """Yields the events of one connection, and None for a heartbeat."""
        self.connection, response = self.open(MISSED_MAX * self.heartbeat)
        if self.is_stopped:
            hang_up(self.connection)
        self.is_ended = response.status == 204
        fields = {}
        try:
            while line := response.readline():
                line = line.decode().rstrip("\n")
                if line.startswith(":"):
                    yield None
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    yield from self.dispatch(fields)
                    fields = {}
        finally:
            self.connection.close()

    def open(self, timeout):
        if self.body:
            return self.http.open("/v1/jobs:run", self.headers, timeout, "POST", self.body)
        query = f"?afterSequence={self.after}&heartbeat={self.heartbeat:.3f}s"
        query += "".join(f"&types={name}" for name in self.types)
        # The header takes precedence over the query: a browser cannot change the query when it resumes.
        headers = {"last-event-id": self.last} if self.last else {}
        return self.http.open(f"/v1/jobs/{self.job_id}/events{query}", headers, timeout)

    def dispatch(self, fields):
        if "data" not in fields:
            return
        data = json.loads(fields["data"])
        if fields["event"] == "problem":
            raise problem_error(data)
        if "id" in fields:
            self.last = fields["id"]
        if fields["event"] == "submitted":
            # From here on the run is a watch: the job is not submitted again.
            self.body, self.job_id = None, data["jobId"]
            return
        state = data.get("stateChange", {}).get("state", "")
        self.is_ended = state_of(state) in FINAL_STATES
        yield fields["event"], data


class Feed(Watch):
    """The state changes of all jobs that match the filter of a command. It has no end. `last` is the cursor."""

    def __init__(self, http, line):
        super().__init__(http, None)
        parameters = [("state", state) for state in line.get("states", [])]
        parameters += [(name, line[name]) for name in ("kind", "queue") if name in line]
        parameters += [(f"label.{name}", value) for name, value in line.get("labels", {}).items()]
        self.query = urllib.parse.urlencode(parameters)
        self.last = line.get("after_cursor", "")

    def open(self, timeout):
        headers = {"last-event-id": self.last} if self.last else {}
        return self.http.open(f"/v1/events?{self.query}", headers, timeout)

    def dispatch(self, fields):
        data = json.loads(fields.get("data", "null"))
        if fields.get("event") == "problem":
            raise problem_error(data)
        # A heartbeat has an id too: its cursor.
        self.last = fields.get("id", self.last)
        if data is not None:
            yield fields["event"], data
