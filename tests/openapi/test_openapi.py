"""The OpenAPI document is valid, and the server does what it says."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

HERE = Path(__file__).resolve().parent
EXAMPLES = 10
"""Requests an operation in a run of CI."""
SECONDS_MAX = 600
"""Time of a run of CI, after which it has failed."""
ENDLESS = "/v1/events"
"""A stream without an end. The tests of the server read it."""


def test_the_document_is_valid(server):
    with urllib.request.urlopen(f"{server}/openapi.json") as response:
        OpenAPIV31SpecValidator(json.load(response)).validate()


def test_the_server_does_what_the_document_says(server, tmp_path):
    report = tmp_path / "report.json"
    seconds = os.environ.get("JOBSTREAM_FUZZ_SECONDS")
    length = ["--max-time", seconds] if seconds else ["--max-examples", str(EXAMPLES)]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml"]
    command += ["run", f"{server}/openapi.json", *length, "--no-color", "--report", "json"]
    command += ["--report-json-path", report, "--exclude-path", ENDLESS]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
                         timeout=SECONDS_MAX + float(seconds or 0))  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    print(run.stdout)
    operations = json.loads(report.read_text())["operations"]
    assert operations["tested"] == operations["selected"] == operations["total"] - 1, operations
