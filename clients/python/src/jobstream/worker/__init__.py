"""Runs jobs: `Worker` with threads, `AsyncWorker` with asyncio."""

from .aio import AsyncWorker
from .context import AsyncContext, Context
from .endings import Cancelled, PermanentError, RetryLater
from .worker import Worker

__all__ = ["AsyncContext", "AsyncWorker", "Cancelled", "Context", "PermanentError", "RetryLater", "Worker"]
