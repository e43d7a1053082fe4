"""A web site of another origin than the server: it serves pages and records what is requested."""

import http.server
import threading

TIMEOUT = 30
"""Seconds after which waiting for a request has failed."""


class Site:
    """`pages` has the content type and the text of each path. `requested` has every requested path, in order."""

    def __init__(self):
        self.pages = {"/": ("text/html", "<!doctype html><title>site</title>")}
        self.requested = []
        self.changed = threading.Condition()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                site.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.origin = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request):
        with self.changed:
            self.requested.append(request.path)
            self.changed.notify_all()
        content_type, text = self.pages.get(request.path.split("?")[0], ("text/plain", ""))
        body = text.encode()
        request.send_response(200)
        for name, value in [("content-type", content_type), ("content-length", len(body)),
                            ("access-control-allow-origin", "*")]:  # fmt: skip
            request.send_header(name, str(value))
        request.end_headers()
        request.wfile.write(body)

    def count(self, path):
        return self.requested.count(path)

    def wait_for(self, path, count=1):
        """Waits until a path was requested so often."""
        with self.changed:
            has_come = self.changed.wait_for(lambda: self.count(path) >= count, TIMEOUT)
            assert has_come, f"waited {TIMEOUT} s for {path}: {self.requested}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
