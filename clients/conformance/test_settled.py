"""Tests the `on_settled` callback of a handler: it learns whether the server has recorded the end of the attempt."""


def test_settled_once_the_server_acknowledged_the_result(agent, server, proxy):
    work = agent.work("hold", address=proxy.address)
    job_id = work.hold()
    proxy.stall("to the client")
    agent.release(job_id)
    assert server.raw.wait(job_id, seconds=10)
    assert work.command.queue.empty(), "the acknowledgement has not arrived"
    proxy.flow()
    assert work.settled(job_id) is None


def test_settled_when_a_cancelled_handler_stopped(agent):
    work = agent.work("hold")
    job_id = work.hold()
    agent.send("cancel", job_id=job_id, reason="").ok()
    assert work.settled(job_id) is None
    assert agent.state(job_id) == "CANCELLED"


def test_settled_with_an_error_after_the_lease_was_lost(agent):
    work = agent.work("ignore_cancel")
    job_id = work.hold("ignore_cancel")
    agent.send("cancel", job_id=job_id, reason="", grace=0).ok()
    agent.release(job_id)
    assert work.settled(job_id)["reason"] == "LEASE_LOST"


def test_settled_with_an_error_after_a_drain_released_the_attempt(agent, proxy):
    work = agent.work("ignore_cancel", address=proxy.address)
    job_id = work.hold("ignore_cancel")
    # The worker does not wait for the handler, but for the acknowledgement of the release.
    proxy.stall("to the client")
    drain = agent.send("drain", target=work.command.number, within=0)
    agent.watch(job_id, after=2).event(type="state", state="QUEUED")
    agent.release(job_id)
    proxy.flow()
    drain.ok()
    assert work.settled(job_id)["reason"] == "LEASE_LOST"
    agent.send("cancel", job_id=job_id, reason="").ok()


def test_settled_with_an_error_when_the_worker_ends_first(agent, proxy):
    work = agent.work("hold", address=proxy.address)
    job_id = work.hold()
    proxy.refuse()
    proxy.cut()
    agent.release(job_id)
    work.stop()
    assert work.settled(job_id)["class"] == "unavailable"
