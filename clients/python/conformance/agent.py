"""The conformance agent, see clients/conformance/README.md: `python -m agent [asyncio]`."""

import asyncio
import sys

import blocking
import on_asyncio

if __name__ == "__main__":
    if sys.argv[1:] == ["asyncio"]:
        asyncio.run(on_asyncio.serve())
    elif sys.argv[1:]:
        sys.exit(f"unknown argument {sys.argv[1]!r}: pass asyncio or no argument")
    else:
        blocking.serve()
