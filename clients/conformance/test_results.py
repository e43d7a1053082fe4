"""Tests inputs, results, waits and submit options."""

import time

import pytest

from agent import as_data, as_json, as_text, read_json

VALUES = [None, True, 0, -7, 1.5, "", "text", [], {}, [1, [2, {"three": None}]], {"a": {"b": [False, "c"]}}]
UNICODE = "na\u00efve \u03a9 \u6f22\u5b57 \U0001f680 \U00010348 \u0000 \u2028 \"quoted\" \\ \n\t"
EXACT = [9007199254740993, 2**63 - 1, 2**64 - 1, -(2**63)]


def echoed(agent, payload):
    work = agent.work("echo")
    return agent.result(agent.submit(work.kind("echo"), payload))


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_json_round_trips(agent, value):
    assert read_json(echoed(agent, as_json(value))) == value


def test_json_is_sent_as_text_with_its_content_type(agent, server):
    job_id = agent.submit("stays-queued", as_json({"a": 1}))
    payload = server.raw.job(job_id).spec.payload
    assert payload.WhichOneof("body") == "text"
    assert payload.content_type == "application/json"
    agent.send("cancel", job_id=job_id, reason="").ok()


@pytest.mark.parametrize("text", ["plain", "42", "[1]", "", UNICODE.replace("\u0000", "")], ids=ascii)
def test_plain_text_round_trips(agent, text):
    assert echoed(agent, as_text(text)) == as_text(text)


def test_bytes_round_trip(agent):
    data = as_data(bytes(range(256)) * 5)
    assert echoed(agent, data) == data


def test_bytes_keep_their_content_type(agent):
    data = as_data(b"\x89PNG", "image/png")
    assert echoed(agent, data) == data


def test_empty_bytes_are_a_payload(agent):
    expected = echoed(agent, as_data(b""))
    assert (expected["type"], expected["base64"]) == ("data", "")


def test_unicode_in_json_round_trips(agent):
    assert read_json(echoed(agent, as_json({UNICODE: [UNICODE]}))) == {UNICODE: [UNICODE]}


@pytest.mark.parametrize("number", EXACT)
def test_large_integers_stay_exact(agent, server, number):
    work = agent.work("echo")
    job_id = agent.submit(work.kind("echo"), as_json({"number": number}))
    assert read_json(agent.result(job_id)) == {"number": number}
    sent, result_text = server.raw.job(job_id).spec.payload.text, server.raw.job(job_id).outcome.result.text
    assert str(number) in sent and str(number) in result_text


def test_handler_receives_integers_of_the_json_field_as_integers(agent, server):
    work = agent.work("typed", "echo")
    for behaviour, value, expected in (("typed", {"width": 2**20}, 2**21), ("echo", {"id": 2**53 - 1}, {"id": 2**53 - 1})):
        job_id = server.raw.submit_json(work.kind(behaviour), value)
        result = agent.result(job_id)
        assert read_json(result) == expected
        assert "." not in result["text"] and "e" not in result["text"].lower()


def test_result_awaited_before_the_job_starts(agent):
    job_id = agent.submit(kind := f"later-{time.monotonic_ns()}", as_json("early"))
    waiting = agent.send("result", job_id=job_id)
    agent.work("echo", kinds=[kind])
    assert read_json(waiting.ok()["payload"]) == "early"


def test_result_awaited_while_the_job_runs(agent):
    work = agent.work("hold")
    job_id = work.hold()
    waiting = agent.send("result", job_id=job_id)
    agent.release(job_id, as_json("during"))
    assert read_json(waiting.ok()["payload"]) == "during"


def test_result_can_be_read_repeatedly_after_the_end(agent):
    work = agent.work("echo")
    job_id = agent.submit(work.kind("echo"), as_json("late"))
    agent.watch(job_id).events()
    assert [read_json(agent.result(job_id)) for _ in range(2)] == ["late", "late"]


def test_wait_that_times_out_leaves_the_job_running(agent, server):
    work = agent.work("hold")
    job_id = work.hold()
    began = time.monotonic()
    agent.send("result", job_id=job_id, timeout=300).error("not_finished")
    assert 0.25 <= time.monotonic() - began < 5
    assert agent.state(job_id) == "RUNNING"
    assert not server.raw.job(job_id).cancel_requested
    agent.release(job_id, as_json("continued"))
    assert read_json(agent.result(job_id, timeout=20_000)) == "continued"


def test_concurrent_submits_are_a_job_each(agent, server):
    kind = agent.work("echo").kind("echo")
    assert agent.send("load", kind=kind, jobs=50, in_flight=8).ok()["seconds"] > 0
    results = [read_json(agent.result(job.job_id)) for job in server.raw.of_kind(kind)]
    assert sorted(expected["n"] for expected in results) == list(range(50))


def test_server_receives_every_submit_option(agent, server):
    options = {"queue": "side", "priority": 7, "delay": 3_600_000, "timeout": 7_200_000, "attempt_timeout": 60_000}
    others = {"max_attempts": 4, "retention": 90_000, "labels": {"a": "b"}, "headers": {"c": "d"}}
    job_id = agent.submit("never-due", as_json(1), **options, **others)
    job = server.raw.job(job_id)
    spec = job.spec
    assert (spec.queue, spec.priority, spec.retry.max_attempts) == ("side", 7, 4)
    durations = [spec.start_delay, spec.timeout, spec.attempt_timeout, spec.retention]
    assert [duration.ToMilliseconds() for duration in durations] == [3_600_000, 7_200_000, 60_000, 90_000]
    assert (dict(spec.labels), dict(spec.headers)) == ({"a": "b"}, {"c": "d"})
    assert agent.state(job_id) == "SCHEDULED"
    agent.send("cancel", job_id=job_id, reason="").ok()
