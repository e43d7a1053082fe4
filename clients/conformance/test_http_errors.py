"""Tests the HTTP errors of a proxy between client and server, which have a status and an HTML page."""

import re
import uuid

import pytest

from agent import as_json, read_json

PERMANENT = [400, 401, 403, 404, 413]
"""Statuses that become an error at once."""
TRANSIENT = [429, 502, 503, 504]
"""Statuses that are retried as UNAVAILABLE."""
REFUSES_WORKERS = [401, 403, 404]


def assert_explained(error, front):
    """Asserts that the message has the address and the status."""
    assert front.address in error["message"]
    assert re.search(rf"\b{front.status}\b", error["message"]), error


@pytest.mark.parametrize("status", PERMANENT)
def test_permanent_error_of_a_proxy_is_not_retried(agent, new_front, status):
    front = new_front(status)
    agent.connect(front.address)
    error = agent.send("state", job_id=str(uuid.uuid4())).error("other", timeout=5)
    assert_explained(error, front)
    assert front.count("JobService") == 1


@pytest.mark.parametrize("status", TRANSIENT)
def test_transient_error_of_a_proxy_is_retried(agent, new_front, status):
    front = new_front(status)
    agent.connect(front.address, tries=3)
    error = agent.send("state", job_id=str(uuid.uuid4())).error("unavailable")
    assert_explained(error, front)
    assert front.count("JobService") == 3


def test_submit_succeeds_once_the_proxy_reaches_the_server(agent, server, new_front, new_proxy):
    front = new_front(502)
    proxy = new_proxy(front.address)
    agent.connect(proxy.address)
    label = uuid.uuid4().hex
    submitting = agent.send("submit", kind="stays-queued", payload=as_json(1), labels={"test": label})
    front.wait_for("JobService", calls=2)
    proxy.retarget(server.address)
    proxy.cut()
    job_id = submitting.ok()["job_id"]
    assert [job.job_id for job in server.raw.labelled(test=label)] == [job_id]


@pytest.mark.parametrize("status", REFUSES_WORKERS)
def test_permanent_error_of_a_proxy_ends_a_worker(agent, new_front, status):
    front = new_front(status)
    error = agent.start_work("echo", address=front.address).command.error("other", timeout=5)
    assert_explained(error, front)
    assert front.count("WorkerService") == 1


@pytest.mark.parametrize("status", TRANSIENT)
def test_worker_connects_once_the_proxy_reaches_the_server(agent, server, new_front, new_proxy, status):
    front = new_front(status)
    proxy = new_proxy(front.address)
    work = agent.start_work("echo", address=proxy.address)
    front.wait_for("WorkerService", calls=2)
    proxy.retarget(server.address)
    proxy.cut()
    work.wait_connected()
    assert read_json(agent.result(agent.submit(work.kind("echo"), as_json("connected")))) == "connected"
