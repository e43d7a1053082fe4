"""Watches a job, stops, and resumes: `python watch_with_resume.py [ADDRESS]`, with `jobstream dev` running."""

import asyncio
import sys

from jobstream import AsyncClient, Gap, Progress, StateChange, WatchItem


async def main(address: str | None = None) -> None:
    async with AsyncClient(address) as client:
        job = await client.submit("demo.count", {"to": 5, "interval_seconds": 0.05})
        last_sequence = 0
        async with job.watch() as watch:
            async for item in watch:
                show(item)
                last_sequence = watch.last_sequence
                if isinstance(item, Progress):
                    break
        # Resuming like this is for another process. After a lost connection a watch resumes by itself.
        print(f"resumes after {last_sequence}")
        async for item in client.job(job.id).watch(after_sequence=last_sequence):
            show(item)
        print("result:", await job)


def show(item: WatchItem) -> None:
    match item:
        case Gap():
            print(f"events {item.first} to {item.last} are no longer retained")
        case StateChange():
            print(item.sequence, item.state)
        case Progress():
            print(item.sequence, f"{item.fraction or 0:.0%}", item.message)
        case _:
            print(item.sequence, item)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
