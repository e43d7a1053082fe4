"""The clients that take part: for each, the command that starts its agent, from the root of the repository."""

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
"""What agents are started with to be measured: for the scenarios Java starts as fast as it can instead."""
