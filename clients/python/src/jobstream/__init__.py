"""A client and worker library for the jobstream gRPC service.

`Client` submits jobs, waits for their results and watches their events with blocking calls; `AsyncClient` does the same
with asyncio. `Worker` runs handlers on threads; `AsyncWorker` runs coroutines too.
"""

from .aio.client import AsyncClient
from .aio.feed import AsyncFeed
from .aio.job import AsyncJob
from .aio.watch import AsyncWatch
from .batch import JobRequest
from .changes import ChangeFilter, FeedGap, FeedItem, JobChange
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
    PermissionDenied,
    ResourceExhausted,
    ResultExpired,
    ResultMismatch,
    ServerRestarted,
    Unauthenticated,
    Unavailable,
    Violation,
)
from .events import Event, Gap, Log, Output, Progress, StateChange, WatchItem
from .feed import Feed
from .interceptors import (
    AsyncHandlerInterceptor,
    AsyncSubmitInterceptor,
    HandlerInterceptor,
    JobSpec,
    SubmitInterceptor,
    Submitted,
)
from .job import Job
from .listing import JobFilter
from .options import ClientOptions, RetryPolicy, SubmitOptions
from .outcome import Failure, JobInfo
from .payload import Payload
from .queues import Queue
from .tracing import TraceContext
from .version import __version__
from .watch import Watch
from .worker import (
    AsyncContext,
    AsyncWorker,
    BaseContext,
    Cancelled,
    Context,
    PermanentError,
    RetryLater,
    Worker,
)

__all__ = [
    "AsyncClient",
    "AsyncContext",
    "AsyncFeed",
    "AsyncHandlerInterceptor",
    "AsyncJob",
    "AsyncSubmitInterceptor",
    "AsyncWatch",
    "AsyncWorker",
    "BaseContext",
    "Cancelled",
    "ChangeFilter",
    "Client",
    "ClientOptions",
    "Context",
    "DeadlineExceeded",
    "Event",
    "Failure",
    "Feed",
    "FeedGap",
    "FeedItem",
    "Gap",
    "HandlerInterceptor",
    "IllegalState",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobChange",
    "JobFailed",
    "JobFilter",
    "JobIdReused",
    "JobInfo",
    "JobNotFound",
    "JobRequest",
    "JobSpec",
    "JobstreamError",
    "Log",
    "NotFinished",
    "Output",
    "Payload",
    "PermanentError",
    "PermissionDenied",
    "Progress",
    "Queue",
    "ResourceExhausted",
    "ResultExpired",
    "ResultMismatch",
    "RetryLater",
    "RetryPolicy",
    "ServerRestarted",
    "StateChange",
    "SubmitInterceptor",
    "SubmitOptions",
    "Submitted",
    "TraceContext",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "Watch",
    "WatchItem",
    "Worker",
    "__version__",
]
