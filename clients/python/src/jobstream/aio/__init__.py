"""The client for asyncio: the same as `jobstream.Client`, awaited."""

from .client import AsyncClient
from .job import AsyncJob
from .watch import AsyncWatch

__all__ = ["AsyncClient", "AsyncJob", "AsyncWatch"]
