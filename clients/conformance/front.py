"""A server that answers every call with an HTTP status and an HTML page, as proxies do, over HTTP/2 and HTTP/1.1."""

import contextlib
import socket
import threading

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError

CALLS = "/jobstream.v1."
HTTP2 = b"PRI * "
PATHS = {
    "JobService": (f"{CALLS}JobService/", "/v1/jobs"),
    "WorkerService": (f"{CALLS}WorkerService/", "/v1/leases", "/v1/reports"),
}
"""What the paths of the calls of each service begin with."""
TIMEOUT = 30
"""Timeout in seconds of a wait for a count."""


class Front:
    """Answers on `address`. `calls` has the path of each call."""

    def __init__(self, status):
        self.status = status
        self.calls = []
        self.changed = threading.Condition()
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def count(self, service):
        """The number of calls to a service, such as `JobService`."""
        with self.changed:
            return sum(path.startswith(PATHS[service]) for path in self.calls)

    def wait_for(self, service, calls):
        """Waits until a service has had this number of calls."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.count(service) >= calls, TIMEOUT):
                raise AssertionError(f"{service} had {self.count(service)} of {calls} calls within {TIMEOUT} s")

    def close(self):
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self.answer_all, args=(connection,), daemon=True).start()

    def answer_all(self, connection):
        """Answers the calls of one connection until it is closed."""
        with contextlib.suppress(OSError, ProtocolError), connection:
            is_http2 = connection.recv(len(HTTP2), socket.MSG_PEEK) == HTTP2
            (self.answer_http2 if is_http2 else self.answer_http1)(connection)

    def answer_http2(self, connection):
        http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        connection.sendall(http.data_to_send())
        while data := connection.recv(65536):
            for event in http.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.answer(http, event)
            connection.sendall(http.data_to_send())

    def answer(self, http, request):
        page = self.page()
        headers = [(":status", str(self.status)), ("content-type", "text/html"), ("content-length", str(len(page)))]
        http.send_headers(request.stream_id, headers)
        http.send_data(request.stream_id, page, end_stream=True)
        self.record(dict(request.headers)[":path"])

    def answer_http1(self, connection):
        requests = connection.makefile("rb")
        while line := requests.readline():
            head = [line.lower() for line in iter(requests.readline, b"\r\n")]
            lengths = [int(line.split(b":")[1]) for line in head if line.startswith(b"content-length:")]
            requests.read(sum(lengths))
            page = self.page()
            head = f"HTTP/1.1 {self.status} Proxy\r\ncontent-type: text/html\r\ncontent-length: {len(page)}\r\n\r\n"
            self.record(line.split()[1].decode())
            connection.sendall(head.encode() + page)

    def page(self):
        return b"<html><body><h1>%d</h1></body></html>" % self.status

    def record(self, path):
        with self.changed:
            self.calls.append(path)
            self.changed.notify_all()
