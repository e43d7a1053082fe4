"""Adds the token and the metadata of a client to each call of an asyncio channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc.aio

from ..access import Access


class AddHeaders:
    """Asks for the headers once for each call and each stream."""

    def __init__(self, access: Access) -> None:
        self.access = access

    async def extended(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), *(await self.access.headers_async()))
        credentials, wait = details.credentials, details.wait_for_ready
        return grpc.aio.ClientCallDetails(details.method, details.timeout, metadata, credentials, wait)


class AddHeadersToCalls(AddHeaders, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(await self.extended(client_call_details), request)


class AddHeadersToStreams(AddHeaders, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(await self.extended(client_call_details), request)


def interceptors(access: Access) -> list[grpc.aio.ClientInterceptor] | None:
    """The interceptors of a channel; None if there is nothing to add."""
    return [AddHeadersToCalls(access), AddHeadersToStreams(access)] if access.adds_headers else None
