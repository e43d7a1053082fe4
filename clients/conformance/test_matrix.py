"""A worker in any language serves jobs submitted in any other."""

import pytest

from agent import as_data, as_json, as_text, read_json

VALUE = {"exact": 2**63 - 1, "nested": [None, True, 1.5, "\u6f22\u5b57 \U0001f680"]}


@pytest.mark.parametrize("payload", [as_json(VALUE), as_text("\u6f22\u5b57 \U0001f680"), as_data(bytes(range(256)))], ids=lambda p: p["type"])
def test_languages_understand_each_other(agent, worker_agent, payload):
    work = worker_agent.work("echo")
    answer = agent.result(agent.submit(work.kind("echo"), payload))
    assert answer == payload if payload["type"] != "json" else read_json(answer) == VALUE
