"""A real server process that can be killed and restarted on its port."""

import os
import queue
import re
import signal
import socket
import subprocess
import threading

from stubs import Raw

TIMEOUT = 30
"""Timeout in seconds of a wait for the server."""


class Server:
    """`jobstream dev` with these flags on a free port."""

    def __init__(self, *flags):
        self.flags = flags
        self.address = "127.0.0.1:0"
        self.start()
        self.raw = Raw(self.address)

    def start(self):
        """Starts the server; again on the same port."""
        command = [os.environ["JOBSTREAM_BIN"], "dev", "--demo=false", "--listen", self.address, *self.flags]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines = queue.SimpleQueue()
        threading.Thread(target=forward, args=(self.process.stdout, lines), daemon=True).start()
        self.address = printed_address(lines)

    def kill(self):
        """Kills the server, like a crash."""
        self.process.kill()
        self.process.wait(TIMEOUT)

    def drain(self):
        """Requests a shutdown. Does not wait for the end."""
        self.process.terminate()

    def stop(self):
        self.raw.close()
        if self.process.poll() is None:
            # The second signal stops the server immediately.
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.kill()


def forward(output, lines):
    """Forwards all output, so that the server never blocks on a full pipe."""
    for line in output:
        lines.put(line)
    lines.put(None)


def printed_address(lines):
    printed = []
    while (line := lines.get(timeout=TIMEOUT)) is not None:
        printed.append(line)
        if found := re.search(r"127\.0\.0\.1:([1-9]\d*)", line):
            return found.group(0)
    raise AssertionError("the server ended before it printed its address: " + "".join(printed))


def unused_address():
    """An address without a listener."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % free.getsockname()[1]
