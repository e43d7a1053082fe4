"""The asyncio client: the API of `jobstream.Client` with coroutines."""

from .client import AsyncClient
from .job import AsyncJob
from .watch import AsyncWatch

__all__ = ["AsyncClient", "AsyncJob", "AsyncWatch"]
