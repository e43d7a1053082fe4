"""A worker in any language serves jobs submitted in any other."""

import pytest

from agent import as_data, as_json, as_text, read_json

INEXACT_AS_DOUBLES = [2**53 + 1, 2**63 - 1, 2**64 - 1, -(2**63), 2**53 + 1 - 2**54]
VALUE = {"exact": 2**63 - 1, "nested": [None, True, 1.5, "\u6f22\u5b57 \U0001f680"]}


@pytest.mark.parametrize("payload", [as_json(VALUE), as_text("\u6f22\u5b57 \U0001f680"), as_data(bytes(range(256)))], ids=lambda p: p["type"])
def test_languages_understand_each_other(agent, worker_agent, payload):
    work = worker_agent.work("echo")
    answer = agent.result(agent.submit(work.kind("echo"), payload))
    assert answer == payload if payload["type"] != "json" else read_json(answer) == VALUE


@pytest.mark.parametrize("number", INEXACT_AS_DOUBLES)
def test_integers_stay_exact_as_input_output_and_result(agent, worker_agent, server, number):
    value = {"id": number, "nested": [{"ids": [number]}]}
    work = worker_agent.work("relay")
    job_id = agent.submit(work.kind("relay"), as_json(value))
    chunks = [item["payload"] for item in agent.watch(job_id).events() if item["type"] == "output"]
    assert [read_json(chunk) for chunk in chunks] == [value]
    assert read_json(agent.result(job_id)) == value
    job = server.raw.job(job_id)
    for payload in (job.spec.payload, job.outcome.result):
        assert payload.text.count(str(number)) == 2, payload
