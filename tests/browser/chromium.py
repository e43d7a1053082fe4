"""Drives a headless Chromium by the DevTools protocol over a pipe."""

import fcntl
import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
import time

TIMEOUT = 30
"""Seconds after which waiting for anything has failed."""
NAMES = ["chromium", "chromium-browser", "google-chrome", "chromium-headless-shell"]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"]  # fmt: skip


def executable():
    """The path of the browser; None if there is none. CHROMIUM names another one."""
    names = [os.environ["CHROMIUM"]] if "CHROMIUM" in os.environ else NAMES
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """A browser with an empty profile. Downloads are stored under their id."""

    def __init__(self, folder):
        self.downloads = folder / "downloads"
        commands, self.commands = os.pipe()
        answers, output = os.pipe()
        # The browser reads commands from descriptor 3 and writes to descriptor 4.
        inner = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (commands, output)]
        script = f'exec "$@" 3<&{inner[0]} 4>&{inner[1]}'
        command = ["bash", "-c", script, "bash", executable(), *FLAGS, f"--user-data-dir={folder / 'profile'}"]
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=inner
        )
        for descriptor in (commands, output, *inner):
            os.close(descriptor)
        self.ids = itertools.count(1)
        self.replies = {}
        self.changed = threading.Condition()
        self.events = []
        threading.Thread(target=self.read, args=(answers,), daemon=True).start()
        self.call("Browser.setDownloadBehavior", behavior="allowAndName", downloadPath=str(self.downloads),
                  eventsEnabled=True)  # fmt: skip

    def read(self, answers):
        with open(answers, "rb") as stream:
            rest = b""
            while data := stream.read1():
                *messages, rest = (rest + data).split(b"\0")
                for message in map(json.loads, messages):
                    self.take(message)

    def take(self, message):
        with self.changed:
            if "id" in message:
                self.replies.pop(message["id"]).put(message)
            else:
                self.events.append(message)
            self.changed.notify_all()

    def call(self, method, session=None, **params):
        """Sends a command and returns its result."""
        number, reply = next(self.ids), queue.SimpleQueue()
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        with self.changed:
            self.replies[number] = reply
            os.write(self.commands, json.dumps(message).encode() + b"\0")
        answer = reply.get(timeout=TIMEOUT)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def wait_for(self, method, of=lambda params: True, session=None):
        """Waits for an event, also one that was there before, and returns its parameters."""
        deadline = time.monotonic() + TIMEOUT
        with self.changed:
            while True:
                for params in self.seen(method, session):
                    if of(params):
                        return params
                left = deadline - time.monotonic()
                assert left > 0 and self.changed.wait(left), f"waited {TIMEOUT} s for {method}"

    def seen(self, method, session=None):
        """The parameters of all events of this name so far."""
        return [
            event["params"]
            for event in self.events
            if event["method"] == method and session in (None, event.get("sessionId"))
        ]

    def page(self):
        return Page(self)

    def download_of(self, url):
        """Waits until this URL is downloaded, and returns its content."""
        begun = self.wait_for("Browser.downloadWillBegin", lambda params: params["url"] == url)
        is_end = lambda params: params["guid"] == begun["guid"] and params["state"] != "inProgress"  # noqa: E731
        ended = self.wait_for("Browser.downloadProgress", is_end)
        assert ended["state"] == "completed", ended
        return (self.downloads / begun["guid"]).read_bytes()

    def close(self):
        self.call("Browser.close")
        self.process.wait(TIMEOUT)
        os.close(self.commands)
        self.log.close()


class Page:
    """A tab."""

    def __init__(self, browser):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def navigate(self, url):
        """Begins to open a URL. Returns the error, such as `net::ERR_ABORTED` of a download, or None."""
        return self.call("Page.navigate", url=url).get("errorText")

    def open(self, url):
        """Opens a page and waits until it is loaded."""
        assert self.navigate(url) is None
        self.until("document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of an expression; a promise is awaited. An exception fails the test."""
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", **params)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition):
        """Waits until a condition holds in the page."""
        milliseconds = TIMEOUT * 1000
        is_met = self.evaluate(
            f"""new Promise(done => {{
              const end = Date.now() + {milliseconds}
              const check = () => {{
                if ({condition}) done(true)
                else if (Date.now() > end) done(false)
                else setTimeout(check, 10)
              }}
              check()
            }})"""
        )
        assert is_met, f"waited {TIMEOUT} s for {condition} at {self.evaluate('document.body.innerText')!r}"

    def seen(self, method):
        return self.browser.seen(method, self.session)

    def statuses(self, part):
        """The statuses of all responses whose URL has this part, in order."""
        responses = [params["response"] for params in self.seen("Network.responseReceived")]
        return [response["status"] for response in responses if part in response["url"]]

    def requests(self, part):
        """The URLs of all requests that have this part, in order."""
        urls = [params["request"]["url"] for params in self.seen("Network.requestWillBeSent")]
        return [url for url in urls if part in url]

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
