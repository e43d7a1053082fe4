"""The agents by language: the command that starts each, relative to the repository root."""

import os
import shlex

RUST = os.environ.get("JOBSTREAM_RUST_AGENT") or "cargo run --quiet --example conformance_agent"

AGENTS = {
    "rust": shlex.split(RUST),
    "python": ["clients/python/run", "agent"],
    "python-asyncio": ["clients/python/run", "agent", "asyncio"],
    "go": ["clients/go/run", "agent"],
    "typescript": ["clients/typescript/run", "agent"],
    "java": ["clients/java/run", "agent"],
}

FAST_FLAGS = {"java": ["-XX:TieredStopAtLevel=4"]}
"""Further arguments of agents in benchmarks. In the scenarios the Java agent is tuned for a fast start instead."""
