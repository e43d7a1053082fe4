"""Adds the token and the metadata of a client to each call of a blocking channel. See `jobstream.aio.metadata`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from .access import Access


@dataclass
class CallDetails(grpc.ClientCallDetails):
    """The details of a call."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class AddHeaders(
    grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor
):
    """Asks for the headers once for each call and each stream."""

    def __init__(self, access: Access) -> None:
        self.access = access

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        return continuation(self.extended(client_call_details), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        return continuation(self.extended(client_call_details), request)

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self.extended(client_call_details), request_iterator)

    def extended(self, details: Any) -> CallDetails:
        headers = (*(details.metadata or ()), *self.access.headers())
        return CallDetails(
            details.method, details.timeout, headers, details.credentials, details.wait_for_ready, details.compression
        )
