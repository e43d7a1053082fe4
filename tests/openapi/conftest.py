"""A real server on a free port."""

import os
import queue
import re
import subprocess
import threading

import pytest

TIMEOUT = 30
"""Seconds after which waiting for the server has failed."""


@pytest.fixture(scope="session")
def server():
    """The URL of a server of this test run."""
    command = [os.environ["JOBSTREAM_BIN"], "dev", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = queue.SimpleQueue()
    threading.Thread(target=forward, args=(process.stdout, lines), daemon=True).start()
    try:
        yield "http://" + printed_address(lines)
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def forward(output, lines):
    """Reads to the end, so that the server never waits for us to read."""
    for line in output:
        lines.put(line)
    lines.put(None)


def printed_address(lines):
    said = []
    while (line := lines.get(timeout=TIMEOUT)) is not None:
        said.append(line)
        if found := re.search(r"127\.0\.0\.1:([1-9]\d*)", line):
            return found.group(0)
    raise AssertionError("the server ended without an address: " + "".join(said))
