"""The blocking channel of a client. A channel that no longer responds is replaced."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

import grpc

from .access import Access
from .channels import channel_arguments
from .metadata import AddHeaders
from .options import ClientOptions
from .v1.admin_service_pb2_grpc import AdminServiceStub
from .v1.job_service_pb2_grpc import JobServiceStub


def open_channel(access: Access, options: ClientOptions) -> grpc.Channel:
    """Creates a channel. It connects at its first call."""
    target, arguments = access.address.target, channel_arguments(options)
    if access.tls is None:
        channel = grpc.insecure_channel(target, options=arguments)
    else:
        channel = grpc.secure_channel(target, access.tls, options=arguments)
    return grpc.intercept_channel(channel, AddHeaders(access)) if access.adds_headers else channel


class Link:
    """A channel with its stubs, and the number of calls in flight on it."""

    def __init__(self, access: Access, options: ClientOptions) -> None:
        self.channel = open_channel(access, options)
        self.jobs = JobServiceStub(self.channel)
        self.admin = AdminServiceStub(self.channel)
        self.calls = 0
        self.process_id = os.getpid()


class Connection:
    """Holds the current channel of a client. It is thread-safe."""

    def __init__(self, access: Access, options: ClientOptions) -> None:
        self.access, self.options = access, options
        self.lock = threading.Lock()
        self.link: Link | None = None
        self.replaced: set[Link] = set()
        """The replaced links with calls in flight."""
        self.is_closed = False

    def current(self) -> Link:
        with self.lock:
            if self.is_closed:
                raise RuntimeError("the client is closed: create a new one")
            # A channel does not survive a fork. The child process opens its own and does not close the parent's.
            if self.link is None or self.link.process_id != os.getpid():
                self.link = Link(self.access, self.options)
            return self.link

    @contextmanager
    def call(self) -> Generator[Link]:
        """The current channel. It stays open until the call ends, even if it is replaced."""
        link = self.current()
        with self.lock:
            link.calls += 1
        try:
            yield link
        finally:
            with self.lock:
                link.calls -= 1
                is_over = link in self.replaced and link.calls == 0
                if is_over:
                    self.replaced.remove(link)
            if is_over:
                link.channel.close()

    def replace(self, link: Link) -> None:
        """Replaces the channel of a call, which is open but does not respond. The next call opens a new one."""
        with self.lock:
            if self.link is link:
                self.replaced.add(link)
                self.link = None

    def close(self) -> None:
        with self.lock:
            links = [*self.replaced, *([self.link] if self.link else [])]
            self.link, self.is_closed = None, True
        for link in links:
            if link.process_id == os.getpid():
                link.channel.close()
