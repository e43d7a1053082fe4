"""The real server, as a process that can be killed and started again on its port."""

import os
import queue
import re
import signal
import socket
import subprocess
import threading

from stubs import Raw

PATIENCE = 30
"""Seconds after which waiting for the server has failed."""


class Server:
    """`jobstream dev` with these flags, on a free port of its own choice."""

    def __init__(self, *flags):
        self.flags = flags
        self.address = "127.0.0.1:0"
        self.start()
        self.raw = Raw(self.address)

    def start(self):
        """Starts it; a second time on the port of the first."""
        command = [os.environ["JOBSTREAM_BIN"], "dev", "--demo=false", "--listen", self.address, *self.flags]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines = queue.SimpleQueue()
        threading.Thread(target=forward, args=(self.process.stdout, lines), daemon=True).start()
        self.address = printed_address(lines)

    def kill(self):
        """Ends it without a word, as a crash does."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def drain(self):
        """Tells it to shut down; it does not wait for the end."""
        self.process.terminate()

    def stop(self):
        self.raw.close()
        if self.process.poll() is None:
            # The second signal ends it at once.
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.kill()


def forward(output, lines):
    """Reads to the end, so that the server never waits for us to read."""
    for line in output:
        lines.put(line)
    lines.put(None)


def printed_address(lines):
    said = []
    while (line := lines.get(timeout=PATIENCE)) is not None:
        said.append(line)
        if found := re.search(r"127\.0\.0\.1:([1-9]\d*)", line):
            return found.group(0)
    raise AssertionError("the server ended without an address: " + "".join(said))


def unused_address():
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % free.getsockname()[1]
