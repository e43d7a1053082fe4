"""An asyncio channel to the server that is replaced when nothing comes over it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio

from ..channels import Usage, channel_arguments
from ..errors import unavailable
from ..options import Address, ClientOptions
from ..v1.admin_service_pb2_grpc import AdminServiceStub
from ..v1.job_service_pb2_grpc import JobServiceStub

if TYPE_CHECKING:
    from ..v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from ..v1.job_service_pb2_grpc import JobServiceAsyncStub


def open_channel(address: Address, options: ClientOptions) -> grpc.aio.Channel:
    """A channel; it connects at its first call."""
    arguments: Sequence[tuple[str, Any]] = channel_arguments(options)
    if address.is_tls:
        return grpc.aio.secure_channel(address.target, grpc.ssl_channel_credentials(), options=arguments)
    return grpc.aio.insecure_channel(address.target, options=arguments)


class Link:
    """One channel, and the stubs on it."""

    def __init__(self, address: Address, options: ClientOptions) -> None:
        self.channel = open_channel(address, options)
        # The generated classes serve both kinds of channels; only their types have two names.
        self.jobs = cast("JobServiceAsyncStub", cast("object", JobServiceStub(self.channel)))
        self.admin = cast("AdminServiceAsyncStub", cast("object", AdminServiceStub(self.channel)))
        self.usage = Usage()


class Connection:
    """The present channel of a client. It belongs to the event loop of the first call."""

    def __init__(self, address: Address, options: ClientOptions) -> None:
        self.address, self.options = address, options
        self.link: Link | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.closing: set[asyncio.Future[None]] = set()
        self.is_closed = False

    def present(self) -> Link:
        if self.is_closed:
            raise RuntimeError("the client is closed: make another one")
        loop = asyncio.get_running_loop()
        if self.loop is not None and self.loop is not loop:
            raise RuntimeError("the client belongs to the event loop that it was first used in: make another one")
        self.loop = loop
        if self.link is None:
            self.link = Link(self.address, self.options)
        return self.link

    def hold(self) -> Link:
        """The present channel, which is not closed before it is released as often as it was held."""
        link = self.present()
        link.usage.calls += 1
        return link

    def release(self, link: Link) -> None:
        link.usage.calls -= 1
        if link.usage.is_over:
            closing = asyncio.ensure_future(link.channel.close())
            self.closing.add(closing)
            closing.add_done_callback(self.closing.discard)

    @contextmanager
    def call(self) -> Generator[Link]:
        """Holds the present channel for a call."""
        link = self.hold()
        try:
            yield link
        except asyncio.CancelledError:
            # A closed channel cancels its calls, and with them, unless told apart, whoever awaits one.
            if self.is_closed:
                raise unavailable(self.address.url, "the client was closed") from None
            raise
        finally:
            self.release(link)

    def replace(self, link: Link) -> None:
        """Nothing comes over this channel, though it is open: the next call takes another."""
        if self.link is link:
            link.usage.is_replaced = True
            self.link = None

    async def close(self) -> None:
        link, self.link, self.is_closed = self.link, None, True
        if link is not None:
            await link.channel.close()
