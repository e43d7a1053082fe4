"""Runs the examples unchanged."""

from __future__ import annotations

import asyncio
import runpy

import pytest

from examples import streaming_output, submit_and_wait, watch_with_resume, worker
from jobstream import Client, JobFailed


def test_submit_and_wait(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    submit_and_wait.main(address)
    assert capsys.readouterr().out == "Greeting(hi='there')\n"


def test_tour(address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("JOBSTREAM_ADDRESS", address)
    runpy.run_module("examples.tour")
    printed = capsys.readouterr().out
    assert "decoding" in printed
    assert printed.endswith("resized to 640\n")


def test_watch_with_resume(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(watch_with_resume.main(address))
    lines = capsys.readouterr().out.splitlines()
    sequences = [int(line.split()[0]) for line in lines if line[0].isdigit()]
    assert sequences == sorted(set(sequences))
    assert any(line.startswith("resumes after") for line in lines)
    assert lines[-1].startswith("result:")


def test_worker(address: str, client: Client) -> None:
    with worker.make(address):
        assert client.submit("area", {"width": 6, "height": 7}).result(10) == 42
        assert client.submit("nap", 0.05).result(10) == "rested"
        with pytest.raises(JobFailed, match="negative"):
            client.submit("area", {"width": -1, "height": 7}).result(10)


def test_streaming_output(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(streaming_output.main(address))
    assert capsys.readouterr().out.split("\n") == ["once", "upon", "a", "time", "result: once upon a time", ""]
