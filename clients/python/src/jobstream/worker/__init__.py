"""Workers: `Worker` runs handlers on threads, `AsyncWorker` runs coroutines too."""

from .aio import AsyncWorker
from .context import AsyncContext, BaseContext, Context
from .final_report import Cancelled, PermanentError, RetryLater
from .worker import Worker

__all__ = [
    "AsyncContext",
    "AsyncWorker",
    "BaseContext",
    "Cancelled",
    "Context",
    "PermanentError",
    "RetryLater",
    "Worker",
]
