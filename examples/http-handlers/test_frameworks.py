"""Each framework's example serves the jobs of a kind of the real server, and refuses requests that are not signed."""
import base64, hashlib, hmac, http.client, json, os, socket, subprocess, sys, time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()
COMMANDS = {
    "fastapi": [sys.executable, "-m", "uvicorn", "main:app", "--log-level=warning", "--port"],
    "express": ["node", os.environ["EXPRESS_SERVER"]],
    "go": [os.environ["GO_SERVER"]],
    "spring": ["java", "-XX:TieredStopAtLevel=1", "-jar", os.environ["SPRING_JAR"], "--spring.main.banner-mode=off"],
}
START_TIME_MAX = 120


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(name, port):
    # The port is the last argument of uvicorn; the others read PORT.
    command = COMMANDS[name] + [str(port)] if name == "fastapi" else COMMANDS[name]
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    return subprocess.Popen(command, cwd=HERE / "fastapi", env=environment, stdout=subprocess.DEVNULL)


def wait_until_listening(name, process, port):
    deadline = time.monotonic() + START_TIME_MAX
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert process.poll() is None, f"{name} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{name} does not listen"
            time.sleep(0.05)


@pytest.fixture(scope="session")
def ports():
    ports = {name: free_port() for name in COMMANDS}
    processes = {name: start(name, port) for name, port in ports.items()}
    try:
        for name, port in ports.items():
            wait_until_listening(name, processes[name], port)
        yield ports
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def jobstream(ports, tmp_path_factory):
    """Runs the binary with these arguments. Returns its exit code and what it printed."""
    secret = tmp_path_factory.mktemp("secret") / "webhook-secret"
    secret.write_text(SECRET)
    handlers = [f"--http={name}=http://127.0.0.1:{port}/words" for name, port in ports.items()]
    binary = os.environ["JOBSTREAM_BIN"]
    server = [binary, "dev", "--quiet", "--listen=127.0.0.1:0", f"--http-secret-file={secret}", *handlers]
    process = subprocess.Popen(server, stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()

    def run(*arguments):
        command = [binary, *arguments, "--output=json", f"--address={address}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60)
        return done.returncode, json.loads(done.stdout)

    try:
        yield run
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("framework", COMMANDS)
def test_the_result_of_a_job_is_that_of_the_framework(jobstream, framework):
    code, end = jobstream("run", framework, '{"text": "one two three"}')
    assert (code, end["outcome"]["result"]["json"]) == (0, {"words": 3})


@pytest.mark.parametrize("framework", COMMANDS)
def test_invalid_input_is_a_failure_that_is_not_retried(jobstream, framework):
    code, end = jobstream("run", framework, '{"other": 1}', "--max-attempts=3")
    failure = end["outcome"]["failure"]
    assert code != 0 and "text" in failure["message"]
    assert (failure["type"], failure["attempt"], failure.get("retryable", False)) == ("http.422", 1, False)


def status(port, body, signature, timestamp):
    headers = {
        "content-type": "application/json",
        "webhook-id": "a-job_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/words", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def sign(body, timestamp):
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"a-job_1.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


@pytest.mark.parametrize("framework", COMMANDS)
def test_only_signed_requests_of_the_last_minutes_are_accepted(ports, framework):
    body, now = '{"text": "a b"}', int(time.time())
    own, other = sign(body, now), sign("another body", now)
    assert status(ports[framework], body, own, now) == 200
    assert status(ports[framework], body, f"{other} {own}", now) == 200, "one of several secrets is enough"
    assert status(ports[framework], body, other, now) == 401
    old = now - 3600
    assert status(ports[framework], body, sign(body, old), old) == 401
