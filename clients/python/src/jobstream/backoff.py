"""Pauses between tries, and when to stop trying. Nothing here waits: callers do."""

from __future__ import annotations

import random
import time

from .errors import DeadlineExceeded, JobstreamError, given_up
from .options import ClientOptions

HEARTBEATS_MISSED_MAX = 3
"""A watch that is silent for this many heartbeats is given up and opened anew."""
HEARTBEAT = 15.0
"""Seconds of silence after which the server of a watch says that it is there."""
POLL = 30.0
"""Seconds the server is asked to hold one poll. Proxies cut calls that are silent for a minute."""
POLL_AGAIN = 0.25
"""A server that answers a poll early, because it has too many waiters, is not asked again before this."""


class Backoff:
    """The pauses of one series of tries."""

    def __init__(self, first: float, longest: float) -> None:
        self.first, self.longest = first, longest
        self.full = min(first, longest)

    def pause(self, asked: float | None = None) -> float:
        """The next pause: a random part of what it may be, so that those who lost the same server do not come back
        together, plus what the server asks for, so that it is never undercut."""
        pause = self.full * random.random()
        self.full = min(self.full * 2, self.longest)
        return pause + (asked or 0.0)

    def reset(self) -> None:
        self.full = min(self.first, self.longest)


class Tries:
    """The tries of one call, all within one deadline."""

    def __init__(self, options: ClientOptions) -> None:
        self.left = options.tries
        self.tries = options.tries
        self.deadline = time.monotonic() + options.call_timeout
        self.backoff = Backoff(options.first_pause, options.longest_pause)

    def timeout(self) -> float:
        """What is left for the next try."""
        self.left -= 1
        return max(0.0, self.deadline - time.monotonic())

    def pause(self, error: JobstreamError) -> float:
        """How long to wait before the next try; raises the error if there is none."""
        if not error.is_transient:
            raise error
        pause = self.backoff.pause(error.retry_after)
        if self.left <= 0 or time.monotonic() + pause >= self.deadline:
            done = self.tries - self.left
            raise given_up(error, f"{done} tries") if done > 1 else error
        return pause


class Endurance:
    """How long a watch or a wait has been without a word of the server, and how long it may be."""

    def __init__(self, options: ClientOptions) -> None:
        self.patience = options.patience
        self.backoff = Backoff(options.first_pause, options.longest_pause)
        self.lost_since: float | None = None

    def renew(self) -> None:
        """The server spoke."""
        if self.lost_since is not None:
            self.lost_since = None
            self.backoff.reset()

    def pause(self, error: JobstreamError, now: float | None = None) -> float:
        """How long to wait before the next try; raises the error if it does not help, or patience is over."""
        if not error.is_transient and not isinstance(error, DeadlineExceeded):
            raise error
        now = time.monotonic() if now is None else now
        self.lost_since = now if self.lost_since is None else self.lost_since
        lost_for = now - self.lost_since
        pause = self.backoff.pause(error.retry_after)
        if lost_for + pause > self.patience:
            raise given_up(error, f"{lost_for:.1f} s without a word of it")
        return pause
