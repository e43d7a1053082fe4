"""Starts a real server in memory mode on a free port, for tests."""

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
"""Environment variable with the path of the server binary. Default: `jobstream` in PATH."""
START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0


@dataclass
class Server:
    """A running server."""

    address: str
    """For example http://127.0.0.1:40123; https:// if the server has a certificate (`--tls-cert`)."""
    process: subprocess.Popen[str]


@contextmanager
def server(*flags: str, listen: str = "127.0.0.1:0") -> Generator[Server]:
    """Starts `jobstream dev` with these flags, such as `"--jobs-max", "10"`, and stops it at the end of the block.

    Raises RuntimeError if the server does not start.
    """
    process = subprocess.Popen(
        [binary(), "dev", "--listen", listen, *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Server(printed_address(process), process)
    finally:
        process.terminate()
        # The second signal stops the server immediately.
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def binary() -> str:
    found = os.environ.get(BINARY_VARIABLE) or shutil.which("jobstream")
    if not found:
        raise RuntimeError(f"server binary not found: add `jobstream` to PATH or set {BINARY_VARIABLE} to its path")
    return found


def printed_address(process: subprocess.Popen[str]) -> str:
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None, "it was started with a pipe"
    threading.Thread(target=forward, args=(process.stdout, lines), daemon=True).start()
    printed: list[str] = []
    try:
        while (line := lines.get(timeout=START_TIMEOUT)) is not None:
            printed.append(line)
            if found := re.search(r"(https://)?(\d+\.\d+\.\d+\.\d+:[1-9]\d*)", line):
                return (found[1] or "http://") + found[2]
    except queue.Empty:
        pass
    raise RuntimeError(f"the server printed no address: {''.join(printed) or 'no output'}")


def forward(output: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Forwards all output, so that the server never blocks on a full pipe."""
    for line in output:
        lines.put(line)
    lines.put(None)
