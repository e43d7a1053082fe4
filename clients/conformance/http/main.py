"""The conformance agent of the HTTP/JSON interface, see ../README.md: the standard library, without a client library.

Each command runs on a thread.
"""

import json
import signal
import sys
import threading

import wire
from caller import Caller


def serve():
    caller = Caller()
    signal.signal(signal.SIGTERM, lambda *_: caller.drain_on_signal())
    for text in sys.stdin:
        threading.Thread(target=run, args=(caller, json.loads(text)), daemon=True).start()


def run(caller, line):
    try:
        wire.write(line["id"], ok=getattr(caller, line["op"])(line))
    except BaseException as error:  # noqa: BLE001
        wire.write(line["id"], error=wire.error_of(error))


if __name__ == "__main__":
    serve()
