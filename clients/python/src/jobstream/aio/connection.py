"""The asyncio channel of a client. A channel that no longer responds is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio

from ..access import Access
from ..channels import channel_arguments
from ..errors import unavailable
from ..options import ClientOptions
from ..v1.admin_service_pb2_grpc import AdminServiceStub
from ..v1.job_service_pb2_grpc import JobServiceStub
from .metadata import interceptors

if TYPE_CHECKING:
    from ..v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from ..v1.job_service_pb2_grpc import JobServiceAsyncStub


def open_channel(access: Access, options: ClientOptions) -> grpc.aio.Channel:
    """Creates a channel. It connects at its first call."""
    arguments: Sequence[tuple[str, Any]] = channel_arguments(options)
    target, added = access.address.target, interceptors(access)
    if access.tls is None:
        return grpc.aio.insecure_channel(target, options=arguments, interceptors=added)
    return grpc.aio.secure_channel(target, access.tls, options=arguments, interceptors=added)


class Link:
    """A channel with its stubs, and the number of calls in flight on it."""

    def __init__(self, access: Access, options: ClientOptions) -> None:
        self.channel = open_channel(access, options)
        # The generated stub classes work with both kinds of channels; only the types differ.
        self.jobs = cast("JobServiceAsyncStub", cast("object", JobServiceStub(self.channel)))
        self.admin = cast("AdminServiceAsyncStub", cast("object", AdminServiceStub(self.channel)))
        self.calls = 0


class Connection:
    """Holds the current channel of a client. It belongs to the event loop of the first call."""

    def __init__(self, access: Access, options: ClientOptions) -> None:
        self.access, self.options = access, options
        self.link: Link | None = None
        self.replaced: set[Link] = set()
        """The replaced links with calls in flight."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.closing: set[asyncio.Future[None]] = set()
        self.is_closed = False

    def current(self) -> Link:
        if self.is_closed:
            raise RuntimeError("the client is closed: create a new one")
        loop = asyncio.get_running_loop()
        if self.loop is not None and self.loop is not loop:
            raise RuntimeError("the client belongs to the event loop of its first call: create a new one for this loop")
        self.loop = loop
        if self.link is None:
            self.link = Link(self.access, self.options)
        return self.link

    def acquire(self) -> Link:
        """The current channel. It stays open until it is released as often as it was acquired."""
        link = self.current()
        link.calls += 1
        return link

    def release(self, link: Link) -> None:
        link.calls -= 1
        if link in self.replaced and link.calls == 0:
            self.replaced.remove(link)
            closing = asyncio.ensure_future(link.channel.close())
            self.closing.add(closing)
            closing.add_done_callback(self.closing.discard)

    @contextmanager
    def call(self) -> Generator[Link]:
        """Acquires the current channel for one call."""
        link = self.acquire()
        try:
            yield link
        except asyncio.CancelledError:
            # Closing a channel cancels its calls with CancelledError. That must not look like a cancellation of the
            # task.
            if self.is_closed:
                raise unavailable(self.access.address.url, "the client was closed") from None
            raise
        finally:
            self.release(link)

    def replace(self, link: Link) -> None:
        """Replaces the channel of a call, which is open but does not respond. The next call opens a new one."""
        if self.link is link:
            self.replaced.add(link)
            self.link = None

    async def close(self) -> None:
        links = [*self.replaced, *([self.link] if self.link else [])]
        self.link, self.is_closed = None, True
        for link in links:
            await link.channel.close()
