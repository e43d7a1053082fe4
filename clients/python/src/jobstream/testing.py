"""For tests: a real server on a free port, in memory, which ends with the test."""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

BINARY_VARIABLE = "JOBSTREAM_BIN"
"""Names the server's binary; without it `jobstream` is looked for in PATH."""
START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0


@dataclass
class Server:
    """A server that runs."""

    address: str
    """Such as http://127.0.0.1:40123."""
    process: subprocess.Popen[str]


@contextmanager
def server(*flags: str, listen: str = "127.0.0.1:0") -> Generator[Server]:
    """Starts `jobstream dev` with these flags, such as `"--jobs-max", "10"`, and ends it afterwards.

    Raises RuntimeError if it does not start.
    """
    process = subprocess.Popen(
        [binary(), "dev", "--listen", listen, *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Server(f"http://{printed_address(process)}", process)
    finally:
        process.terminate()
        # The second signal ends it at once.
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def binary() -> str:
    found = os.environ.get(BINARY_VARIABLE) or shutil.which("jobstream")
    if not found:
        raise RuntimeError(f"no server to start: put `jobstream` into PATH, or its path into {BINARY_VARIABLE}")
    return found


def printed_address(process: subprocess.Popen[str]) -> str:
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None, "it was started with a pipe"
    threading.Thread(target=forward, args=(process.stdout, lines), daemon=True).start()
    said: list[str] = []
    try:
        while (line := lines.get(timeout=START_TIMEOUT)) is not None:
            said.append(line)
            if found := re.search(r"\d+\.\d+\.\d+\.\d+:([1-9]\d*)", line):
                return found.group(0)
    except queue.Empty:
        pass
    raise RuntimeError(f"the server told no address: {''.join(said) or 'it said nothing'}")


def forward(output: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Reads to the end, so that the server never waits for us to read."""
    for line in output:
        lines.put(line)
    lines.put(None)
