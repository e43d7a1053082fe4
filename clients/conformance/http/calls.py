"""HTTP calls with kept connections, deadlines and retries."""

import contextlib
import http.client
import json
import random
import socket
import threading
import time

from wire import ApiError, problem_error

CALL_TIMEOUT, TRIES, PATIENCE = 30.0, 6, 300.0
PAUSE_FIRST, PAUSE_MAX = 0.1, 5.0
UNAVAILABLE_STATUSES = (429, 502, 503, 504)
"""Statuses of a proxy that mean that the server cannot be reached now."""
BROKEN = (OSError, http.client.HTTPException)


class Http:
    """The connections to one server."""

    def __init__(self, address, line):
        self.address = address.removeprefix("http://")
        self.call_timeout = line.get("call_timeout", CALL_TIMEOUT * 1000) / 1000
        self.patience = line.get("patience", PATIENCE * 1000) / 1000
        self.tries = line.get("tries", TRIES)
        self.idle = []
        self.lock = threading.Lock()

    def call(self, method, path, body=None, tries=None, headers=()):
        """Sends an idempotent request, again after transient errors. Returns the status and the JSON."""
        backoff, until = Backoff(), time.monotonic() + self.call_timeout
        for left in range((tries or self.tries) - 1, -1, -1):
            try:
                return self.send(method, path, body, until - time.monotonic(), headers)
            except ApiError as error:
                pause = backoff.pause(error)
                if not error.is_transient or not left or time.monotonic() + pause > until:
                    raise
                time.sleep(pause)

    def wait(self, method, path, body, wait, patience=None):
        """Sends a request that the server answers after `wait` seconds at the latest; one try."""
        return self.send(method, path, body, wait + (patience or self.call_timeout))

    def send(self, method, path, body, timeout, headers=()):
        """Sends a request once."""
        with self.lock:
            connection = self.idle.pop() if self.idle else self.connection()
        try:
            response = self.request(connection, method, path, body, timeout, headers)
            content = response.read()
        except BROKEN as error:
            connection.close()
            raise self.broken(error) from error
        with self.lock:
            self.idle.append(connection)
        return response.status, self.checked(response, content)

    def open(self, path, headers, timeout, method="GET", body=None):
        """Opens a stream. Returns its connection and its response, which is not read."""
        connection = self.connection()
        try:
            response = self.request(connection, method, path, body, timeout, {"accept": "text/event-stream", **headers})
            if response.status >= 300:
                self.checked(response, response.read())
        except BROKEN as error:
            connection.close()
            raise self.broken(error) from error
        return connection, response

    def connection(self):
        return http.client.HTTPConnection(self.address)

    def request(self, connection, method, path, body, timeout, headers=()):
        connection.timeout = max(timeout, 0.001)
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        headers = dict(headers)
        if body is not None:
            headers["content-type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection.getresponse()

    def checked(self, response, content):
        """The JSON of a response that is not an error."""
        if response.status < 300:
            return json.loads(content) if content else None
        if response.headers.get_content_type() == "application/problem+json":
            raise problem_error(json.loads(content))
        code = "UNAVAILABLE" if response.status in UNAVAILABLE_STATUSES else "UNKNOWN"
        message = f"{self.address} answered with HTTP status {response.status}"
        raise ApiError(code, "", message, {"status": response.status})

    def broken(self, error):
        with self.lock:
            self.idle.clear()
        if isinstance(error, TimeoutError):
            return ApiError("DEADLINE_EXCEEDED", "", f"{self.address} did not answer in time")
        return ApiError("UNAVAILABLE", "", f"the connection to {self.address} broke: {error!r}")


def hang_up(connection):
    """Closes a connection and wakes its reader."""
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


class Backoff:
    """Pauses that double, with full jitter."""

    def __init__(self):
        self.longest = PAUSE_FIRST

    def pause(self, error):
        """The pause before the next try."""
        pause = random.uniform(0, self.longest) + float(error.problem.get("retryAfter", 0))
        self.longest = min(2 * self.longest, PAUSE_MAX)
        return pause
