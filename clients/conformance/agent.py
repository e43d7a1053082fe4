"""An agent process, driven by lines of JSON as README.md says: many commands at the same time."""

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
PATIENCE = 30
"""Seconds a command may take before the scenario has failed."""
START_PATIENCE = 300
"""Seconds a first start may take: some build what they run."""
OCTETS = "application/octet-stream"
SAID_MAX = 30
"""Lines of stderr that a failure shows."""


class Refused(Exception):
    """A command that was answered with an error."""

    def __init__(self, command, error):
        super().__init__(f"{command} was refused: {error}")
        self.error = error


class Agent:
    """One process of one language. It outlives the scenarios, unless one breaks it."""

    def __init__(self, language, command):
        self.language = language
        self.numbers = itertools.count(1)
        self.commands = {}
        self.said = deque(maxlen=SAID_MAX)
        self.lock = threading.Lock()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A group of its own, so that nothing is left of one that hangs.
        self.process = subprocess.Popen(command, cwd=ROOT, encoding="utf-8", start_new_session=True, bufsize=1, **pipes)
        threading.Thread(target=self.read_answers, daemon=True).start()
        threading.Thread(target=self.read_errors, daemon=True).start()

    def connect(self, address, **options):
        """Has all later commands use a client of this server."""
        self.address = address
        self.send("connect", address=f"http://{address}", **options).ok(START_PATIENCE)

    def send(self, op, **fields):
        command = Command(self, next(self.numbers), op, fields)
        with self.lock:
            self.commands[command.number] = command
            try:
                self.process.stdin.write(json.dumps({"id": command.number, "op": op, **fields}) + "\n")
                self.process.stdin.flush()
            except OSError as error:
                raise AssertionError(f"{self} is gone: {error}\n{self.told()}") from error
        return command

    def submit(self, kind, payload=None, **options):
        """Submits a job and answers its id."""
        fields = {"kind": kind, "payload": payload or as_json(None), **options}
        return self.send("submit", **fields).ok()["job_id"]

    def running(self, kind, payload=None, **options):
        """Begins to submit a job and to await its result in one call."""
        return self.send("run", kind=kind, payload=payload or as_json(None), **options)

    def result(self, job_id, patience=PATIENCE, **options):
        """The payload of a job's result."""
        payload = self.send("result", job_id=job_id, **options).ok(patience)["payload"]
        if payload["type"] == "data" and not payload["content_type"]:
            # Unset means this one.
            payload["content_type"] = OCTETS
        return payload

    def state(self, job_id):
        return self.send("state", job_id=job_id).ok()["state"]

    def work(self, *behaviours, **options):
        """Starts a worker and waits until it is connected."""
        work = Work(self, behaviours, options)
        work.wait_connected()
        return work

    def watch(self, job_id, **options):
        return self.send("watch", job_id=job_id, **options)

    def release(self, job_id, payload=None):
        self.send("release", job_id=job_id, payload=payload or as_json("released")).ok()

    def stop_all(self):
        """Ends what a scenario left running. An agent that cannot is ended itself."""
        if self.process.poll() is not None:
            return
        try:
            left = [command for command in list(self.commands.values()) if command.op in ("work", "watch")]
            for command in left:
                self.send("stop", target=command.number)
            for command in left:
                command.answered.wait(5) or self.fail(f"{command} did not stop")
        except AssertionError:
            self.kill()
            raise
        finally:
            self.commands.clear()

    def fail(self, why):
        raise AssertionError(f"{why}\n{self.told()}")

    def terminate(self):
        """SIGTERM, as an orchestrator sends it."""
        self.process.terminate()

    def close(self):
        """The agent ends when its stdin does."""
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self} goes on after the end of its stdin\n{self.told()}") from None

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def read_answers(self):
        for line in self.process.stdout:
            try:
                answer = json.loads(line)
                command = self.commands.get(answer["id"])
            except (ValueError, KeyError, TypeError):
                self.said.append(f"not a line of the protocol: {line}")
                continue
            if command is not None:
                command.take(answer)
        for command in list(self.commands.values()):
            command.take({"gone": True})

    def read_errors(self):
        for line in self.process.stderr:
            self.said.append(line)

    def told(self):
        """What helps to understand a failure."""
        ended = self.process.poll()
        state = "runs" if ended is None else f"ended with {ended}"
        return f"the {self.language} agent {state}; it said last:\n{''.join(self.said) or '(nothing)'}"

    def __repr__(self):
        return f"the {self.language} agent"


class Command:
    """A command under way: its events, then its answer."""

    def __init__(self, agent, number, op, fields):
        self.agent, self.number, self.op, self.fields = agent, number, op, fields
        self.answer = None
        self.answered = threading.Event()
        self.queue = queue.SimpleQueue()
        self.passed = []

    def take(self, answer):
        if "event" in answer:
            self.queue.put(answer["event"])
            return
        if not self.answered.is_set():
            self.answer = answer
            self.agent.commands.pop(self.number, None)
            self.answered.set()
            self.queue.put(None)

    def ok(self, patience=PATIENCE):
        """What it answers."""
        answer = self.wait(patience)
        if "error" in answer:
            raise Refused(self, answer["error"])
        return answer["ok"]

    def error(self, expected, patience=PATIENCE):
        """The error it ends with, which must be of this class and have a message."""
        answer = self.wait(patience)
        error = answer.get("error")
        if not error or error.get("class") != expected:
            self.agent.fail(f"{self} was to be refused with {expected}, and was answered {answer}")
        if not error.get("message"):
            self.agent.fail(f"{self} was refused without a message: {error}")
        return error

    def wait(self, patience=PATIENCE):
        if not self.answered.wait(patience):
            self.agent.fail(f"{self} was not answered within {patience} s")
        if "gone" in self.answer:
            self.agent.fail(f"{self} was not answered before its agent ended")
        return self.answer

    def next_event(self, patience=PATIENCE):
        """The next event; None at the end."""
        try:
            event = self.queue.get(timeout=patience)
        except queue.Empty:
            self.agent.fail(f"{self} had no event within {patience} s")
        if event is None:
            self.queue.put(None)
        return event

    def event(self, patience=PATIENCE, **fields):
        """The next event with these values; those before it are set aside in `passed`."""
        until = time.monotonic() + patience
        while event := self.next_event(max(0.0, until - time.monotonic())):
            if fields.items() <= event.items():
                return event
            self.passed.append(event)
        self.agent.fail(f"{self} ended with {self.answer} before an event with {fields}")

    def events(self, patience=PATIENCE):
        """All events up to the end, which must be a good one."""
        events = []
        until = time.monotonic() + patience
        while event := self.next_event(max(0.0, until - time.monotonic())):
            events.append(event)
        self.ok()
        return events

    def __repr__(self):
        text = json.dumps(self.fields)
        return f"{self.op} {text if len(text) < 300 else text[:300] + '...'}"


class Work:
    """A worker of an agent, whose kinds are its own."""

    def __init__(self, agent, behaviours, options):
        self.agent = agent
        mark = uuid.uuid4().hex[:8]
        # Given are those of another worker, so that both serve the same jobs.
        kinds = options.pop("kinds", None) or [f"{behaviour}-{mark}" for behaviour in behaviours]
        self.kinds = dict(zip(behaviours, kinds, strict=True))
        self.name = options.pop("name", f"{agent.language}-{mark}")
        handlers = {kind: behaviour for behaviour, kind in self.kinds.items()}
        address = options.pop("address", agent.address)
        fields = {"name": self.name, "slots": options.pop("slots", 4), "handlers": handlers, **options}
        self.command = agent.send("work", address=f"http://{address}", **fields)

    def kind(self, behaviour):
        return self.kinds[behaviour]

    def wait_connected(self):
        self.command.event(type="connected")

    def wait_started(self, job_id, **fields):
        return self.told(type="started", job_id=job_id, **fields)

    def wait_cancelled(self, job_id):
        return self.told(type="cancelled", job_id=job_id)

    def told(self, **fields):
        """An event with these values, once. Handlers run side by side: what one tells may come before or after what
        another does."""
        passed = self.command.passed
        for at, event in enumerate(passed):
            if fields.items() <= event.items():
                return passed.pop(at)
        return self.command.event(**fields)

    def hold(self, behaviour="hold", **options):
        """Submits a job that stays at work until it is released, and waits until the server knows that it is."""
        job_id = self.agent.submit(self.kind(behaviour), **options)
        self.wait_started(job_id)
        watch = self.agent.watch(job_id)
        watch.event(type="state", state="RUNNING")
        self.agent.send("stop", target=watch.number).ok()
        return job_id

    def drain(self, within=10_000, patience=PATIENCE):
        self.agent.send("drain", target=self.command.number, within=within).ok(patience)
        self.command.ok(patience)

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
