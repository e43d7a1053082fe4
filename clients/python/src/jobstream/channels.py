"""Channel arguments, shared by the blocking and the asyncio client."""

from __future__ import annotations

from typing import Union

from .options import ClientOptions
from .version import __version__

RECONNECT_FIRST_MS = 100
RECONNECT_MAX_MS = 1_000
"""Reconnect back-off of gRPC in milliseconds; its defaults are 1 s and 2 min. The client adds its own jitter."""

ChannelArguments = list[tuple[str, Union[str, int]]]


def channel_arguments(options: ClientOptions) -> ChannelArguments:
    return [
        ("grpc.primary_user_agent", f"jobstream-python/{__version__}"),
        ("grpc.keepalive_time_ms", milliseconds(options.keepalive_interval)),
        ("grpc.keepalive_timeout_ms", milliseconds(options.keepalive_timeout)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_FIRST_MS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MS),
        # gRPC uses this argument as its connect timeout.
        ("grpc.min_reconnect_backoff_ms", milliseconds(options.connect_timeout)),
        ("grpc.max_receive_message_length", options.message_bytes_max),
        # CallRetries retries and counts attempts, so gRPC must not retry.
        ("grpc.enable_retries", 0),
        # A replacement channel must not share the broken connection.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def milliseconds(span: float) -> int:
    return max(1, round(span * 1000))
