"""A worker for two kinds of jobs, until SIGTERM or Ctrl-C: `python worker.py [ADDRESS]`."""

import sys
from dataclasses import dataclass

from jobstream import Client, Context, PermanentError, Worker


@dataclass
class Rectangle:
    width: int
    height: int


def make(address: str | None = None) -> Worker:
    worker = Worker(Client(address), "examples", slots=4)

    @worker.handler("area")
    def area(_: Context, rectangle: Rectangle) -> int:
        if rectangle.width < 0 or rectangle.height < 0:
            raise PermanentError(f"{rectangle} has a negative side")
        return rectangle.width * rectangle.height

    @worker.handler("nap")
    def nap(context: Context, seconds: float) -> str:
        steps = 20
        for step in range(steps):
            # Raises Cancelled when the job is cancelled.
            context.sleep(seconds / steps)
            context.progress_of(step + 1, steps)
        return "rested"

    return worker


if __name__ == "__main__":
    make(*sys.argv[1:]).run()
