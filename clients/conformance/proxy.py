"""A TCP proxy that cuts, stalls, delays and refuses connections on demand.

It counts responses: the HEADERS frames of HTTP/2, or the heads of HTTP/1.1.
"""

import contextlib
import socket
import struct
import threading

TIMEOUT = 30
"""Timeout in seconds of a wait for a count."""
TO_SERVER, TO_CLIENT = "to the server", "to the client"
FRAME_HEADER_BYTES = 9
HTTP1 = b"HTTP/1.1 "
HEADERS = 1
"""Type of the frame that begins and ends a response."""


class Proxy:
    """Forwards every connection to `target`, "127.0.0.1:PORT".

    `accepted`, `refused`, `cuts` and `responses` are counters; `wait_for` waits until they reach values.
    """

    def __init__(self, target):
        self.target = target
        self.changed = threading.Condition()
        self.accepted = self.refused = self.cuts = self.responses = 0
        self.connections = set()
        self.refuses = False
        self.stalls_new = False
        self.cut_bytes = {TO_SERVER: None, TO_CLIENT: None}
        self.cuts_on_response = False
        self.pause = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def cut(self):
        """Resets every connection."""
        with self.changed:
            for connection in list(self.connections):
                connection.cut()

    def cut_after(self, size, direction=TO_CLIENT):
        """Closes each connection after this many bytes have been delivered over it, counted from now; None disables it.
        """
        with self.changed:
            self.cut_bytes[direction] = size
            for connection in self.connections:
                connection.passed[direction] = 0

    def cut_on_response(self):
        """Cuts the connection of the next response, which is lost, and refuses new connections."""
        with self.changed:
            self.cuts_on_response = True

    def stall(self, *directions, new=False):
        """Stops forwarding in these directions, by default both; connections stay open. With `new` also for new
        connections."""
        with self.changed:
            for connection in self.connections:
                connection.stalled.update(directions or (TO_SERVER, TO_CLIENT))
            self.stalls_new = new

    def flow(self):
        """Forwards the stalled data and everything after it."""
        with self.changed:
            self.stalls_new = False
            for connection in self.connections:
                connection.stalled.clear()
            self.changed.notify_all()

    def delay(self, seconds):
        """Delays all data by this many seconds."""
        self.pause = seconds

    def refuse(self):
        """Resets new connections immediately."""
        self.refuses = True

    def accept(self):
        """Accepts new connections again."""
        self.refuses = False

    def retarget(self, target):
        """Forwards new connections to another address."""
        self.target = target

    def wait_for(self, **counts):
        """Waits until the counters reach these values, for example `wait_for(cuts=2)`."""
        with self.changed:
            reached = lambda: all(getattr(self, name) >= count for name, count in counts.items())  # noqa: E731
            if not self.changed.wait_for(reached, TIMEOUT):
                present = {name: getattr(self, name) for name in counts}
                raise AssertionError(f"the proxy waited {TIMEOUT} s for {counts} and has {present}")

    def count(self, name):
        with self.changed:
            setattr(self, name, getattr(self, name) + 1)
            self.changed.notify_all()

    def close(self):
        self.listener.close()
        self.cut()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.open(client)

    def open(self, client):
        if self.refuses:
            return self.reset_client(client)
        try:
            server = socket.create_connection(parsed(self.target), timeout=5)
        except OSError:
            return self.reset_client(client)
        server.settimeout(None)
        with self.changed:
            self.connections.add(Connection(self, client, server))
        self.count("accepted")

    def reset_client(self, client):
        reset(client)
        self.count("refused")


class Connection:
    """A connection of a client with its connection to the server."""

    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.ends = {TO_CLIENT: (server, client), TO_SERVER: (client, server)}
        self.stalled = {TO_SERVER, TO_CLIENT} if proxy.stalls_new else set()
        self.passed = {TO_SERVER: 0, TO_CLIENT: 0}
        self.is_open = True
        self.responses = ResponseCounter()
        for direction in self.ends:
            threading.Thread(target=self.pump, args=(direction,), daemon=True).start()

    def cut(self, close=None):
        """Resets both ends, or closes them with `close`. The caller holds the lock of the proxy."""
        if not self.is_open:
            return
        self.is_open = False
        self.proxy.connections.discard(self)
        for end in self.ends[TO_CLIENT]:
            (close or reset)(end)
        self.proxy.cuts += 1
        self.proxy.changed.notify_all()

    def pump(self, direction):
        source, target = self.ends[direction]
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.proxy.pause:
                    threading.Event().wait(self.proxy.pause)
                data = self.forwardable(data, direction)
                if data is None:
                    return
                target.sendall(data)
        self.end(target)

    def end(self, target):
        """Forwards the close of one side. Data in flight in the other direction is still delivered."""
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self.proxy.changed:
            if not self.is_open:
                return
            self.is_open = False
            self.proxy.connections.discard(self)

    def forwardable(self, data, direction):
        """The part of the data to forward; None if the connection was cut."""
        proxy = self.proxy
        with proxy.changed:
            proxy.changed.wait_for(lambda: direction not in self.stalled or not self.is_open)
            if direction == TO_CLIENT and (found := self.responses.count_in(data)):
                if proxy.cuts_on_response:
                    proxy.cuts_on_response = False
                    proxy.refuses = True
                    self.cut()
                    return None
                proxy.responses += found
                proxy.changed.notify_all()
            limit = proxy.cut_bytes[direction]
            self.passed[direction] += len(data)
            if limit is None or self.passed[direction] < limit:
                return data
            allowed = len(data) - (self.passed[direction] - limit)
            with contextlib.suppress(OSError):
                self.ends[direction][1].sendall(data[: max(0, allowed)])
            # A reset would discard delivered data that was not read.
            self.cut(close=finish)
            return None


class ResponseCounter:
    """Counts the responses of a server."""

    def __init__(self):
        self.header = b""
        self.skip = 0
        self.is_http1 = None

    def count_in(self, data):
        if self.is_http1 is None:
            self.is_http1 = data.startswith(HTTP1)
        # A client without pipelining has read the whole of an earlier response.
        return data.startswith(HTTP1) if self.is_http1 else self.headers_in(data)

    def headers_in(self, data):
        found, at = 0, 0
        while at < len(data):
            if self.skip:
                step = min(self.skip, len(data) - at)
                self.skip -= step
            else:
                step = min(FRAME_HEADER_BYTES - len(self.header), len(data) - at)
                self.header += data[at : at + step]
                if len(self.header) == FRAME_HEADER_BYTES:
                    self.skip = int.from_bytes(self.header[:3], "big")
                    found += self.header[3] == HEADERS
                    self.header = b""
            at += step
        return found


def parsed(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def finish(end):
    """Closes after the sent data is delivered, and wakes the reader."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def reset(end):
    """Closes with a reset and wakes the reader."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
