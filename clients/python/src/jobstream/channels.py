"""How channels are made, for blocking and for asyncio code alike."""

from __future__ import annotations

from typing import Union

from .options import ClientOptions
from .version import __version__

RECONNECT_FIRST_MS = 100
RECONNECT_MAX_MS = 1_000
"""The library's own pauses between connections; by default they are 1 s to 2 min. Ours spread the load already."""

ChannelArguments = list[tuple[str, Union[str, int]]]


def channel_arguments(options: ClientOptions) -> ChannelArguments:
    return [
        ("grpc.primary_user_agent", f"jobstream-python/{__version__}"),
        ("grpc.keepalive_time_ms", milliseconds(options.keepalive_interval)),
        ("grpc.keepalive_timeout_ms", milliseconds(options.keepalive_timeout)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_FIRST_MS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MS),
        # The library's name for the longest time to open a connection.
        ("grpc.min_reconnect_backoff_ms", milliseconds(options.connect_timeout)),
        ("grpc.max_receive_message_length", options.message_bytes_max),
        # The library must not try again by itself: Tries does, and counts.
        ("grpc.enable_retries", 0),
        # A connection that is given up must not be shared with the channel that takes its place.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def milliseconds(span: float) -> int:
    return max(1, round(span * 1000))


class Usage:
    """How many calls a channel carries: one that was replaced is closed after the last of them."""

    def __init__(self) -> None:
        self.calls = 0
        self.is_replaced = False

    @property
    def is_over(self) -> bool:
        return self.is_replaced and self.calls == 0
