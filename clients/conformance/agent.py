"""An agent process. Commands are JSON lines and run concurrently, see README.md."""

import base64
import itertools
import json
import os
import queue
import signal
import subprocess
import threading
import time
import uuid
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 30
"""Timeout of a command in seconds."""
START_TIMEOUT = 300
"""Timeout of the first start in seconds: some agents are built first."""
OCTETS = "application/octet-stream"
OUTPUT_LINES_MAX = 30
"""Number of stderr lines shown with a failure."""


class CommandError(Exception):
    """The error response of a command."""

    def __init__(self, command, error):
        super().__init__(f"{command} failed: {error}")
        self.error = error


class Agent:
    """The agent process of one language. It is shared by the scenarios and restarted after a failure."""

    def __init__(self, language, command):
        self.language = language
        self.credentials = {}
        self.numbers = itertools.count(1)
        self.commands = {}
        self.output = deque(maxlen=OUTPUT_LINES_MAX)
        self.lock = threading.Lock()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A process group of its own, so that all its processes can be killed.
        self.process = subprocess.Popen(command, cwd=ROOT, encoding="utf-8", start_new_session=True, bufsize=1, **pipes)
        threading.Thread(target=self.read_responses, daemon=True).start()
        threading.Thread(target=self.read_errors, daemon=True).start()

    def connect(self, address, **options):
        """Connects the client that later commands use."""
        self.address, self.credentials = address, {}
        self.send("connect", address=f"http://{address}", **options).ok(START_TIMEOUT)

    def connect_secured(self, address, **credentials):
        """Connects over TLS. Later commands and workers have these credentials."""
        self.address, self.credentials = address, credentials
        self.send("connect", address=f"https://{address}", **credentials).ok(START_TIMEOUT)

    def send(self, op, **fields):
        command = Command(self, next(self.numbers), op, fields)
        with self.lock:
            self.commands[command.number] = command
            try:
                self.process.stdin.write(json.dumps({"id": command.number, "op": op, **fields}) + "\n")
                self.process.stdin.flush()
            except OSError as error:
                raise AssertionError(f"{self} has ended: {error}\n{self.diagnostics()}") from error
        return command

    def submit(self, kind, payload=None, **options):
        """Submits a job and returns its id."""
        fields = {"kind": kind, "payload": payload or as_json(None), **options}
        return self.send("submit", **fields).ok()["job_id"]

    def running(self, kind, payload=None, **options):
        """Starts a run: submit and wait in one command."""
        return self.send("run", kind=kind, payload=payload or as_json(None), **options)

    def result(self, job_id, timeout=TIMEOUT, **options):
        """The payload of the result."""
        payload = self.send("result", job_id=job_id, **options).ok(timeout)["payload"]
        if payload["type"] == "data" and not payload["content_type"]:
            # The default content type.
            payload["content_type"] = OCTETS
        return payload

    def state(self, job_id):
        return self.send("state", job_id=job_id).ok()["state"]

    def work(self, *behaviours, **options):
        """Starts a worker and waits until it is connected."""
        work = self.start_work(*behaviours, **options)
        work.wait_connected()
        return work

    def start_work(self, *behaviours, **options):
        """Starts a worker. Does not wait for its connection."""
        return Work(self, behaviours, options)

    def watch(self, job_id, **options):
        return self.send("watch", job_id=job_id, **options)

    def feed(self, **options):
        """Starts a feed of the state changes of all jobs."""
        return self.send("feed", **options)

    def release(self, job_id, payload=None):
        self.send("release", job_id=job_id, payload=payload or as_json("released")).ok()

    def stop_all(self):
        """Stops the workers, watches and feeds of a scenario. Kills an agent that does not respond."""
        if self.process.poll() is not None:
            return
        try:
            left = [command for command in list(self.commands.values()) if command.op in ("work", "watch", "feed")]
            for command in left:
                self.send("stop", target=command.number)
            for command in left:
                command.responded.wait(5) or self.fail(f"{command} did not stop")
        except AssertionError:
            self.kill()
            raise
        finally:
            self.commands.clear()

    def fail(self, why):
        raise AssertionError(f"{why}\n{self.diagnostics()}")

    def terminate(self):
        """Sends SIGTERM."""
        self.process.terminate()

    def close(self):
        """Closes stdin, which ends the agent."""
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self} still runs after the end of its stdin\n{self.diagnostics()}") from None

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def read_responses(self):
        for line in self.process.stdout:
            try:
                response = json.loads(line)
                command = self.commands.get(response["id"])
            except (ValueError, KeyError, TypeError):
                self.output.append(f"not a line of the protocol: {line}")
                continue
            if command is not None:
                command.take(response)
        for command in list(self.commands.values()):
            command.take({"ended": True})

    def read_errors(self):
        for line in self.process.stderr:
            self.output.append(line)

    def diagnostics(self):
        """The state and the last output of the agent, for failure messages."""
        ended = self.process.poll()
        state = "runs" if ended is None else f"ended with {ended}"
        return f"the {self.language} agent {state}; its last output:\n{''.join(self.output) or '(none)'}"

    def __repr__(self):
        return f"the {self.language} agent"


class Command:
    """A command in flight: its events and its response."""

    def __init__(self, agent, number, op, fields):
        self.agent, self.number, self.op, self.fields = agent, number, op, fields
        self.response = None
        self.responded = threading.Event()
        self.queue = queue.SimpleQueue()
        self.skipped = []

    def take(self, response):
        if "event" in response:
            self.queue.put(response["event"])
            return
        if not self.responded.is_set():
            self.response = response
            self.agent.commands.pop(self.number, None)
            self.responded.set()
            self.queue.put(None)

    def ok(self, timeout=TIMEOUT):
        """Returns the response."""
        response = self.wait(timeout)
        if "error" in response:
            raise CommandError(self, response["error"])
        return response["ok"]

    def error(self, expected, timeout=TIMEOUT):
        """Returns the error response, which must have this class and a message."""
        response = self.wait(timeout)
        error = response.get("error")
        if not error or error.get("class") != expected:
            self.agent.fail(f"{self} should fail with {expected}, but the response is {response}")
        if not error.get("message"):
            self.agent.fail(f"{self} failed without a message: {error}")
        return error

    def wait(self, timeout=TIMEOUT):
        if not self.responded.wait(timeout):
            self.agent.fail(f"{self} has no response after {timeout} s")
        if "ended" in self.response:
            self.agent.fail(f"{self} has no response, and its agent has ended")
        return self.response

    def next_event(self, timeout=TIMEOUT):
        """The next event; None after the response."""
        try:
            event = self.queue.get(timeout=timeout)
        except queue.Empty:
            self.agent.fail(f"{self} had no event within {timeout} s")
        if event is None:
            self.queue.put(None)
        return event

    def event(self, timeout=TIMEOUT, **fields):
        """Waits for an event with these values. Skipped events are saved in `skipped`."""
        until = time.monotonic() + timeout
        while event := self.next_event(max(0.0, until - time.monotonic())):
            if fields.items() <= event.items():
                return event
            self.skipped.append(event)
        self.agent.fail(f"{self} ended with {self.response} before an event with {fields}")

    def events(self, timeout=TIMEOUT):
        """All events until the response, which must not be an error."""
        events = []
        until = time.monotonic() + timeout
        while event := self.next_event(max(0.0, until - time.monotonic())):
            events.append(event)
        self.ok()
        return events

    def __repr__(self):
        text = json.dumps(self.fields)
        return f"{self.op} {text if len(text) < 300 else text[:300] + '...'}"


class Work:
    """A worker of an agent with its own job kinds."""

    def __init__(self, agent, behaviours, options):
        self.agent = agent
        suffix = uuid.uuid4().hex[:8]
        # Explicit kinds are those of another worker, so that both serve the same jobs.
        kinds = options.pop("kinds", None) or [f"{behaviour}-{suffix}" for behaviour in behaviours]
        self.kinds = dict(zip(behaviours, kinds, strict=True))
        self.name = options.pop("name", f"{agent.language}-{suffix}")
        handlers = {kind: behaviour for behaviour, kind in self.kinds.items()}
        address = options.pop("address", agent.address)
        fields = {"name": self.name, "slots": options.pop("slots", 4), "handlers": handlers, **options}
        url = f"https://{address}" if agent.credentials else f"http://{address}"
        self.command = agent.send("work", address=url, **agent.credentials, **fields)

    def kind(self, behaviour):
        return self.kinds[behaviour]

    def wait_connected(self):
        self.command.event(type="connected")

    def wait_started(self, job_id, **fields):
        return self.event(type="started", job_id=job_id, **fields)

    def wait_cancelled(self, job_id):
        return self.event(type="cancelled", job_id=job_id)

    def settled(self, job_id):
        """Waits until the attempt of a job is settled. Returns the error of its callback; None without one."""
        return self.event(type="settled", job_id=job_id)["error"]

    def event(self, **fields):
        """Returns and removes an event with these values. Handlers run concurrently, so their events may arrive in any
        order."""
        skipped = self.command.skipped
        for at, event in enumerate(skipped):
            if fields.items() <= event.items():
                return skipped.pop(at)
        return self.command.event(**fields)

    def hold(self, behaviour="hold", **options):
        """Submits a job that runs until it is released, and waits until the server reports it as running."""
        job_id = self.agent.submit(self.kind(behaviour), **options)
        self.wait_started(job_id)
        watch = self.agent.watch(job_id)
        watch.event(type="state", state="RUNNING")
        self.agent.send("stop", target=watch.number).ok()
        return job_id

    def drain(self, within=10_000, timeout=TIMEOUT):
        self.agent.send("drain", target=self.command.number, within=within).ok(timeout)
        self.command.ok(timeout)

    def stop(self):
        self.agent.send("stop", target=self.command.number).ok()
        self.command.ok()


def as_json(value):
    return {"type": "json", "text": json.dumps(value)}


def as_text(text):
    return {"type": "text", "text": text}


def as_data(data, content_type=OCTETS):
    return {"type": "data", "base64": base64.b64encode(data).decode(), "content_type": content_type}


def read_json(payload):
    """The value of a JSON payload."""
    assert payload["type"] == "json", payload
    return json.loads(payload["text"])
