"""An HTTP/2 server that answers every call with an HTTP status and an HTML page, as proxies do."""

import contextlib
import socket
import threading

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError

CALLS = "/jobstream.v1."
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
            return sum(path.startswith(f"{CALLS}{service}/") for path in self.calls)

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
        http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        with contextlib.suppress(OSError, ProtocolError), connection:
            connection.sendall(http.data_to_send())
            while data := connection.recv(65536):
                for event in http.receive_data(data):
                    if isinstance(event, RequestReceived):
                        self.answer(http, event)
                connection.sendall(http.data_to_send())

    def answer(self, http, request):
        page = b"<html><body><h1>%d</h1></body></html>" % self.status
        headers = [(":status", str(self.status)), ("content-type", "text/html"), ("content-length", str(len(page)))]
        http.send_headers(request.stream_id, headers)
        http.send_data(request.stream_id, page, end_stream=True)
        with self.changed:
            self.calls.append(dict(request.headers)[":path"])
            self.changed.notify_all()
