"""Submits a job and waits for its result: `python submit_and_wait.py [ADDRESS]`, with `jobstream dev` running."""

import sys
from dataclasses import dataclass

from jobstream import Client, JobFailed, NotFinished


@dataclass
class Greeting:
    hi: str


def main(address: str | None = None) -> None:
    with Client(address) as client:
        job = client.submit("demo.echo", Greeting("there"), returns=Greeting)
        try:
            print(job.result(timeout=30))
        except NotFinished:
            print(f"{job.id} continues: read its result later")
        except JobFailed as error:
            print(f"{error.failure.reason}: {error.failure.message}")


if __name__ == "__main__":
    main(*sys.argv[1:])
