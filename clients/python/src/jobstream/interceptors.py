"""Interceptors: functions around each submit of a client and around each run of a handler.

An interceptor takes its subject and `next`, which calls the rest of the chain. The first in a list is the outermost.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from .boot import Boot
from .payload import Payload
from .tracing import TraceContext
from .v1 import job_pb2

if TYPE_CHECKING:
    from .worker.context import BaseContext, Context

Subject = TypeVar("Subject")
Answer = TypeVar("Answer")


class JobSpec:
    """A job before it is sent. A submit interceptor may change it."""

    def __init__(self, proto: job_pb2.JobSpec) -> None:
        self.proto = proto
        """The complete message; jobstream.v1.JobSpec describes its fields."""

    @property
    def job_id(self) -> str:
        """The id of the job and its idempotency key. Another submit with this id must have the same content."""
        return self.proto.job_id

    @property
    def kind(self) -> str:
        return self.proto.kind

    @property
    def queue(self) -> str:
        return self.proto.queue or "default"

    @property
    def payload(self) -> Payload:
        """The encoded input."""
        return Payload.from_proto(self.proto.payload)

    @payload.setter
    def payload(self, payload: Payload) -> None:
        self.proto.payload.CopyFrom(payload.to_proto())

    @property
    def labels(self) -> MutableMapping[str, str]:
        """The labels of the job, to be changed in place."""
        return self.proto.labels

    @property
    def headers(self) -> MutableMapping[str, str]:
        """The headers for the handler, to be changed in place."""
        return self.proto.headers

    @property
    def trace_context(self) -> TraceContext | None:
        """The trace of the submitter, for the handler."""
        return TraceContext.from_proto(self.proto.trace_context)

    @trace_context.setter
    def trace_context(self, context: TraceContext | None) -> None:
        self.proto.ClearField("trace_context")
        if context is not None:
            self.proto.trace_context.CopyFrom(context.to_proto())

    def __repr__(self) -> str:
        return f"JobSpec({self.kind!r}, job_id={self.job_id!r})"


@dataclass(frozen=True)
class Submitted:
    """The answer of the server to a submit."""

    job_id: str
    wait_reason: str | None = None
    """Why the job waits, as `Job.wait_reason`. None for a job of `run` and of `submit_all`."""
    boot: Boot | None = field(default=None, repr=False, compare=False)
    """The boot of the server that accepted the job, for its handle."""


SubmitInterceptor = Callable[[JobSpec, Callable[[JobSpec], Submitted]], Submitted]
"""Around each submit of a Client: `def intercept(spec, next): return next(spec)`."""
AsyncSubmitInterceptor = Callable[[JobSpec, Callable[[JobSpec], Awaitable[Submitted]]], Awaitable[Submitted]]
"""Around each submit of an AsyncClient: `async def intercept(spec, next): return await next(spec)`."""
HandlerInterceptor = Callable[["Context", Callable[["Context"], Payload]], Payload]
"""Around each run of a handler of a Worker: `def intercept(context, next): return next(context)`."""
AsyncHandlerInterceptor = Callable[["BaseContext", Callable[["BaseContext"], Awaitable[Payload]]], Awaitable[Payload]]
"""Around each run of a handler of an AsyncWorker: `async def intercept(context, next): return await next(context)`."""


def chained(
    interceptors: Sequence[Callable[[Subject, Callable[[Subject], Answer]], Answer]], call: Callable[[Subject], Answer]
) -> Callable[[Subject], Answer]:
    """The call with the interceptors around it."""
    for interceptor in reversed(interceptors):
        call = around(interceptor, call)
    return call


def around(
    interceptor: Callable[[Subject, Callable[[Subject], Answer]], Answer], call: Callable[[Subject], Answer]
) -> Callable[[Subject], Answer]:
    return lambda subject: interceptor(subject, call)


def checked(interceptors: Sequence[Callable[..., Any]], user: str, *, is_async: bool) -> tuple[Any, ...]:
    """The interceptors as a tuple. Raises TypeError for a function in place of a coroutine function, or the reverse."""
    for each in interceptors:
        if is_coroutine_function(each) != is_async:
            wanted = "a coroutine function: async def" if is_async else "a function that is not a coroutine"
            raise TypeError(f"the interceptor {each!r} of the {user} must be {wanted}")
    return tuple(interceptors)


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


class BatchEntry:
    """The end of the chain for a job of `submit_all`: `next` adds the job to its batch, which is sent later."""

    def __init__(self) -> None:
        self.spec: job_pb2.JobSpec | None = None

    def add(self, spec: JobSpec) -> Submitted:
        if self.spec is not None:
            raise RuntimeError(f"an interceptor added job {spec.job_id} to its batch twice: call next once")
        self.spec = spec.proto
        return Submitted(spec.job_id)

    async def add_async(self, spec: JobSpec) -> Submitted:
        return self.add(spec)

    def sent(self, job_id: str) -> job_pb2.JobSpec:
        """The job to send."""
        if self.spec is None:
            raise not_sent(job_id)
        return self.spec


def not_sent(job_id: str) -> RuntimeError:
    return RuntimeError(f"an interceptor returned without next, so job {job_id} was not sent: raise an error instead")
