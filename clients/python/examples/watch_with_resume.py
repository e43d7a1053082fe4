"""Watches a job, leaves, and goes on where it was: `python watch_with_resume.py [ADDRESS]`."""

import asyncio
import sys

from jobstream import AsyncClient, Gap, Progress, StateChange, WatchItem


async def main(address: str | None = None) -> None:
    async with AsyncClient(address) as client:
        job = await client.submit("demo.count", {"to": 5, "interval_seconds": 0.05})
        seen = 0
        async with job.watch() as watch:
            async for item in watch:
                show(item)
                seen = watch.last_sequence
                if isinstance(item, Progress):
                    break
        # In another process, say. Lost connections need nothing: a watch resumes by itself.
        print(f"resumes after {seen}")
        async for item in client.job(job.id).watch(after_sequence=seen):
            show(item)
        print("result:", await job)


def show(item: WatchItem) -> None:
    match item:
        case Gap():
            print(f"{item.first} to {item.last} are not kept any more")
        case StateChange():
            print(item.sequence, item.state)
        case Progress():
            print(item.sequence, f"{item.fraction or 0:.0%}", item.message)
        case _:
            print(item.sequence, item)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
