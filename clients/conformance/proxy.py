"""A TCP proxy that breaks connections on command.

It knows just enough of HTTP/2 to tell an answer from the chatter of a connection: the type of each frame.
"""

import contextlib
import socket
import struct
import threading

PATIENCE = 30
"""Seconds after which waiting for a count has failed."""
TO_SERVER, TO_CLIENT = "to the server", "to the client"
FRAME_HEADER_BYTES = 9
HEADERS = 1
"""The type of the frame that begins an answer, and ends it."""


class Proxy:
    """Forwards every connection to `target`, "127.0.0.1:PORT", until it is told otherwise.

    `accepted`, `refused`, `cuts` and `answers` count; `wait_for` waits until one of them is reached.
    """

    def __init__(self, target):
        self.target = target
        self.news = threading.Condition()
        self.accepted = self.refused = self.cuts = self.answers = 0
        self.connections = set()
        self.refuses = False
        self.stalls_new = False
        self.cut_bytes = {TO_SERVER: None, TO_CLIENT: None}
        self.cuts_on_answer = False
        self.pause = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def cut(self):
        """Resets every connection."""
        with self.news:
            for connection in list(self.connections):
                connection.cut()

    def cut_after(self, size, direction=TO_CLIENT):
        """Ends each connection once this many bytes passed over it, and arrived, from now on; None: no more."""
        with self.news:
            self.cut_bytes[direction] = size
            for connection in self.connections:
                connection.passed[direction] = 0

    def cut_on_answer(self):
        """Cuts the connection over which the next answer comes, which is lost, and refuses new ones."""
        with self.news:
            self.cuts_on_answer = True

    def stall(self, *directions, new=False):
        """Lets nothing more through, both ways unless told: connections stay open. New ones flow, but for `new`."""
        with self.news:
            for connection in self.connections:
                connection.stalled.update(directions or (TO_SERVER, TO_CLIENT))
            self.stalls_new = new

    def flow(self):
        """Lets through what was stalled, and everything after it."""
        with self.news:
            self.stalls_new = False
            for connection in self.connections:
                connection.stalled.clear()
            self.news.notify_all()

    def delay(self, seconds):
        """Holds everything up by this long, from now on."""
        self.pause = seconds

    def refuse(self):
        """Resets new connections as soon as they open."""
        self.refuses = True

    def accept(self):
        """Takes connections again."""
        self.refuses = False

    def retarget(self, target):
        """Forwards new connections to another address."""
        self.target = target

    def wait_for(self, **counts):
        """Waits until each of these counts is reached: `wait_for(cuts=2)`."""
        with self.news:
            reached = lambda: all(getattr(self, name) >= count for name, count in counts.items())  # noqa: E731
            if not self.news.wait_for(reached, PATIENCE):
                present = {name: getattr(self, name) for name in counts}
                raise AssertionError(f"the proxy waited {PATIENCE} s for {counts} and has {present}")

    def count(self, name):
        with self.news:
            setattr(self, name, getattr(self, name) + 1)
            self.news.notify_all()

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
            return self.turn_away(client)
        try:
            server = socket.create_connection(parsed(self.target), timeout=5)
        except OSError:
            return self.turn_away(client)
        server.settimeout(None)
        with self.news:
            self.connections.add(Connection(self, client, server))
        self.count("accepted")

    def turn_away(self, client):
        reset(client)
        self.count("refused")


class Connection:
    """One client's connection and the one made to the server for it."""

    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.ends = {TO_CLIENT: (server, client), TO_SERVER: (client, server)}
        self.stalled = {TO_SERVER, TO_CLIENT} if proxy.stalls_new else set()
        self.passed = {TO_SERVER: 0, TO_CLIENT: 0}
        self.is_open = True
        self.answers = AnswerFinder()
        for direction in self.ends:
            threading.Thread(target=self.pump, args=(direction,), daemon=True).start()

    def cut(self, close=None):
        """Resets both ends, or closes them in another way. The proxy's lock is held."""
        if not self.is_open:
            return
        self.is_open = False
        self.proxy.connections.discard(self)
        for end in self.ends[TO_CLIENT]:
            (close or reset)(end)
        self.proxy.cuts += 1
        self.proxy.news.notify_all()

    def pump(self, direction):
        source, target = self.ends[direction]
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.proxy.pause:
                    threading.Event().wait(self.proxy.pause)
                data = self.admitted(data, direction)
                if data is None:
                    return
                target.sendall(data)
        self.end(target)

    def end(self, target):
        """One side closed: what is on its way the other way still arrives there."""
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self.proxy.news:
            if not self.is_open:
                return
            self.is_open = False
            self.proxy.connections.discard(self)

    def admitted(self, data, direction):
        """What of the data may pass now; None if the connection was cut instead."""
        proxy = self.proxy
        with proxy.news:
            proxy.news.wait_for(lambda: direction not in self.stalled or not self.is_open)
            if direction == TO_CLIENT and (found := self.answers.count_in(data)):
                if proxy.cuts_on_answer:
                    proxy.cuts_on_answer = False
                    proxy.refuses = True
                    self.cut()
                    return None
                proxy.answers += found
                proxy.news.notify_all()
            limit = proxy.cut_bytes[direction]
            self.passed[direction] += len(data)
            if limit is None or self.passed[direction] < limit:
                return data
            kept = len(data) - (self.passed[direction] - limit)
            with contextlib.suppress(OSError):
                self.ends[direction][1].sendall(data[: max(0, kept)])
            # A reset would take back what has arrived but was not read.
            self.cut(close=finish)
            return None


class AnswerFinder:
    """Counts the HEADERS frames in the bytes of a server."""

    def __init__(self):
        self.header = b""
        self.skip = 0

    def count_in(self, data):
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
    """Closes after what was sent, and wakes who reads from it."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def reset(end):
    """Closes with a reset, and wakes who reads from it."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
