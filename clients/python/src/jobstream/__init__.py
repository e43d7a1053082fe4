"""A client and worker library for the jobstream gRPC service.

`Client` submits jobs, waits for their results and watches their events with blocking calls; `AsyncClient` does the same
with asyncio. `Worker` runs handlers on threads; `AsyncWorker` runs coroutines too.
"""

from .aio.client import AsyncClient
from .aio.job import AsyncJob
from .aio.watch import AsyncWatch
from .batch import JobRequest
from .client import Client
from .errors import (
    DeadlineExceeded,
    IllegalState,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    JobIdReused,
    JobNotFound,
    JobstreamError,
    NotFinished,
    ResourceExhausted,
    ResultExpired,
    ResultMismatch,
    ServerRestarted,
    Unavailable,
    Violation,
)
from .events import Event, Gap, Log, Output, Progress, StateChange, WatchItem
from .job import Job
from .listing import JobFilter
from .options import ClientOptions, RetryPolicy, SubmitOptions
from .outcome import Failure, JobInfo
from .payload import Payload
from .queues import Queue
from .version import __version__
from .watch import Watch
from .worker import (
    AsyncContext,
    AsyncWorker,
    Cancelled,
    Context,
    PermanentError,
    RetryLater,
    Worker,
)

__all__ = [
    "AsyncClient",
    "AsyncContext",
    "AsyncJob",
    "AsyncWatch",
    "AsyncWorker",
    "Cancelled",
    "Client",
    "ClientOptions",
    "Context",
    "DeadlineExceeded",
    "Event",
    "Failure",
    "Gap",
    "IllegalState",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobFilter",
    "JobIdReused",
    "JobInfo",
    "JobNotFound",
    "JobRequest",
    "JobstreamError",
    "Log",
    "NotFinished",
    "Output",
    "Payload",
    "PermanentError",
    "Progress",
    "Queue",
    "ResourceExhausted",
    "ResultExpired",
    "ResultMismatch",
    "RetryLater",
    "RetryPolicy",
    "ServerRestarted",
    "StateChange",
    "SubmitOptions",
    "Unavailable",
    "Violation",
    "Watch",
    "WatchItem",
    "Worker",
    "__version__",
]
