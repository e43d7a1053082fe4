"""The commands of the README install the package from a clone, and its programs run with it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobstream import Client, JobFailed

PACKAGE = Path(__file__).parents[1]
INSTALL = re.compile(r"```sh\n(pip install .*?)```", re.DOTALL)
PROGRAM = re.compile(r"```python\n(from .*?)```", re.DOTALL)


def test_readme_installs_a_package_that_runs_its_programs(address: str, client: Client, tmp_path: Path) -> None:
    readme = (PACKAGE / "README.md").read_text()
    commands = INSTALL.search(readme)
    assert commands is not None
    submits, works = PROGRAM.findall(readme.partition("## TLS")[0])
    shutil.copytree(PACKAGE, tmp_path / "jobstream/clients/python", ignore=shutil.ignore_patterns("__pycache__"))
    # The dependencies and the build backend are those of the environment of the tests: no download.
    pip = f"{sys.executable} -m pip install --quiet --no-deps --no-build-isolation --target installed"
    script = commands[1].replace("pip install", pip)
    subprocess.run(["sh", "-euc", script], cwd=tmp_path, check=True)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "JOBSTREAM_ADDRESS": address}
    program = [sys.executable, "-c", f"{submits}\nimport jobstream; print(jobstream.__file__)"]
    ran = subprocess.run(program, cwd=tmp_path, env=environment, check=True, text=True, capture_output=True)
    first, *_, module = ran.stdout.splitlines()
    assert (first, module) == ("Greeting(hi='there')", f"{tmp_path}/installed/jobstream/__init__.py")
    with subprocess.Popen([sys.executable, "-c", works], cwd=tmp_path, env=environment) as worker:
        try:
            assert client.run("import", {"rows": 3}, wait=30) == "imported 3 rows"
            with pytest.raises(JobFailed, match=r"rows must be 1 or more") as failed:
                client.run("import", {"rows": 0}, wait=30)
            assert failed.value.failure.type == "jobstream.PermanentError"
        finally:
            worker.send_signal(signal.SIGTERM)
    assert worker.returncode == 0
