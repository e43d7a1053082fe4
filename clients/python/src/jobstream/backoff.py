"""Back-off and retry limits. Nothing here sleeps: the caller waits for the returned time."""

from __future__ import annotations

import random
import time

from .errors import DeadlineExceeded, JobstreamError, Unauthenticated, retries_exhausted
from .options import ClientOptions

HEARTBEATS_MISSED_MAX = 3
"""Missed heartbeats after which a watch stream is closed and opened again."""
HEARTBEAT = 15.0
"""Heartbeat interval of a watch in seconds: the server sends a heartbeat after this long without an event."""
POLL = 30.0
"""Longest wait of one long poll in seconds. Many proxies close calls that are idle for a minute."""
POLL_AGAIN = 0.25
"""Shortest time in seconds between two polls. A server with too many waiters responds early."""


class Backoff:
    """Exponential back-off with full jitter."""

    def __init__(self, first: float, longest: float) -> None:
        self.first, self.longest = first, longest
        self.full = min(first, longest)

    def pause(self, asked: float | None = None) -> float:
        """The next delay in seconds: a random part of the current back-off, plus the delay `asked` for by the server.

        The jitter keeps clients that lost the same server from reconnecting at the same time.
        """
        pause = self.full * random.random()
        self.full = min(self.full * 2, self.longest)
        return pause + (asked or 0.0)

    def reset(self) -> None:
        self.full = min(self.first, self.longest)


class NewToken:
    """Whether a call that was refused as UNAUTHENTICATED is repeated: once, if a function returns the token."""

    def __init__(self, options: ClientOptions) -> None:
        self.has_function = callable(options.token)
        self.is_left = self.has_function

    def take(self, error: JobstreamError) -> bool:
        """Whether the call is to be repeated now."""
        is_taken = self.is_left and isinstance(error, Unauthenticated)
        self.is_left = self.is_left and not is_taken
        return is_taken

    def reset(self) -> None:
        """Records that the server accepted the token."""
        self.is_left = self.has_function


class CallRetries:
    """Limits the attempts of one unary call by their number and by one deadline."""

    def __init__(self, options: ClientOptions) -> None:
        self.left = options.tries
        self.tries = options.tries
        self.deadline = time.monotonic() + options.call_timeout
        self.backoff = Backoff(options.first_pause, options.longest_pause)
        self.new_token = NewToken(options)

    def timeout(self) -> float:
        """Starts an attempt; returns the time until the deadline in seconds."""
        self.left -= 1
        return max(0.0, self.deadline - time.monotonic())

    def pause(self, error: JobstreamError) -> float:
        """The delay before the next attempt. Raises the error if it is not transient or a limit is reached."""
        if self.new_token.take(error):
            return 0.0
        if not error.is_transient:
            raise error
        pause = self.backoff.pause(error.retry_after)
        if self.left <= 0 or time.monotonic() + pause >= self.deadline:
            done = self.tries - self.left
            raise retries_exhausted(error, f"{done} tries") if done > 1 else error
        return pause

    def repeat_with_new_token(self, error: Unauthenticated) -> None:
        """Raises the error unless the call is to be repeated with a new token."""
        if not self.new_token.take(error):
            raise error


class ReconnectBackoff:
    """Back-off of a watch or a long poll. Gives up after `patience` seconds without a response from the server."""

    def __init__(self, options: ClientOptions) -> None:
        self.patience = options.patience
        self.backoff = Backoff(options.first_pause, options.longest_pause)
        self.lost_since: float | None = None
        self.new_token = NewToken(options)

    def connected(self) -> None:
        """Records a response from the server and resets the back-off."""
        self.new_token.reset()
        if self.lost_since is not None:
            self.lost_since = None
            self.backoff.reset()

    def pause(self, error: JobstreamError, now: float | None = None) -> float:
        """The delay before the next connection. Raises the error if it is not transient or `patience` has passed."""
        if self.new_token.take(error):
            return 0.0
        if not error.is_transient and not isinstance(error, DeadlineExceeded):
            raise error
        now = time.monotonic() if now is None else now
        self.lost_since = now if self.lost_since is None else self.lost_since
        lost_for = now - self.lost_since
        pause = self.backoff.pause(error.retry_after)
        if lost_for + pause > self.patience:
            raise retries_exhausted(error, f"{lost_for:.1f} s without a response")
        return pause
