"""The agents by language: the command that starts each, relative to the repository root."""

import os
import shlex
import sys

RUST = os.environ.get("JOBSTREAM_RUST_AGENT") or "cargo run --quiet --example conformance_agent"

AGENTS = {
    "rust": shlex.split(RUST),
    "python": ["clients/python/run", "agent"],
    "python-asyncio": ["clients/python/run", "agent", "asyncio"],
    "go": ["clients/go/run", "agent"],
    "typescript": ["clients/typescript/run", "agent"],
    "java": ["clients/java/run", "agent"],
    "http": [sys.executable, "clients/conformance/http/main.py"],
}

SECURED = {"python", "python-asyncio", "go"}
"""Agents whose `connect` and `work` take credentials. The others do not run the scenarios of test_secured.py."""

FAST_FLAGS = {"java": ["-XX:TieredStopAtLevel=4"]}
"""Further arguments of agents in benchmarks. In the scenarios the Java agent is tuned for a fast start instead."""

EXCLUDED = {
    "http": {
        "test_interceptors": "it has no client around which an interceptor could run",
        "test_trace_context_without_its_parts_over_the_limits": "the server refuses them, and there is no client to omit them",
        "test_settled": "it has no callbacks: the answer of POST /v1/reports says whether the server has the end",
        "test_slots_limit_concurrent_attempts": "a worker by Lease is no connected worker, so its jobs have no WORKERS_BUSY",
        "test_draining_worker_releases_assignments_in_flight": "a worker by Lease asks for no job once it drains",
        "test_operator_drains_a_worker": "an operator drains a stream, which a worker by Lease does not have",
    },
}
"""Scenarios that an agent does not run, or files of them, with the reason."""
