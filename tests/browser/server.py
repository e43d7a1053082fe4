"""A real server process, called with HTTP/JSON."""

import json
import os
import queue
import re
import subprocess
import threading
import urllib.request

TIMEOUT = 30
"""Seconds after which waiting for the server has failed."""


class Server:
    """`jobstream dev` with these flags on a free port."""

    def __init__(self, *flags):
        self.flags = flags
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        """Starts the server; again on the same port."""
        command = [os.environ["JOBSTREAM_BIN"], "dev", "--listen", self.address, *self.flags]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines = queue.SimpleQueue()
        threading.Thread(target=forward, args=(self.process.stdout, lines), daemon=True).start()
        self.address = printed_address(lines)

    def stop(self):
        """Drains the server and waits for its end."""
        self.process.terminate()
        self.process.wait(TIMEOUT)

    @property
    def url(self):
        return f"http://{self.address}"

    def post(self, path, **message):
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(message).encode(), headers)
        return self.get(request)

    def get(self, path):
        target = self.url + path if isinstance(path, str) else path
        with urllib.request.urlopen(target, timeout=TIMEOUT) as response:
            return json.load(response)

    def submit(self, kind, text=""):
        """Submits a job and returns its id."""
        return self.post("/v1/jobs", kind=kind, payload={"text": text})["jobId"]

    def lease(self, kind):
        """Takes a job and returns its lease."""
        leased = self.post("/v1/leases", name="test", kinds=[kind], wait="30s")
        return leased["assignments"][0]["leaseId"]

    def report(self, lease, *news):
        """Reports news of an attempt, such as `{"output": ...}`."""
        answer = self.post("/v1/reports", reports=[{"leaseId": lease, **one} for one in news])
        assert answer["results"] == [{}] * len(news), answer


def forward(output, lines):
    """Reads to the end, so that the server never waits for us to read."""
    for line in output:
        lines.put(line)
    lines.put(None)


def printed_address(lines):
    printed = []
    while (line := lines.get(timeout=TIMEOUT)) is not None:
        printed.append(line)
        if found := re.search(r"127\.0\.0\.1:([1-9]\d*)", line):
            return found.group(0)
    raise AssertionError("the server ended without an address: " + "".join(printed))
