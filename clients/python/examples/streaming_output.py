"""Streams output from a handler to a watcher: `python streaming_output.py [ADDRESS]`, with `jobstream dev` running."""

import asyncio
import sys

from jobstream import AsyncClient, AsyncContext, AsyncWorker, Output


def serve(client: AsyncClient) -> AsyncWorker:
    worker = AsyncWorker(client, "writer")

    @worker.handler("write")
    async def write(context: AsyncContext, words: list[str]) -> str:
        for word in words:
            await context.output(word)
            await asyncio.sleep(0.01)
        context.log(f"wrote {len(words)} words")
        return " ".join(words)

    return worker


async def main(address: str | None = None) -> None:
    async with AsyncClient(address) as client, serve(client):
        job = await client.submit("write", ["once", "upon", "a", "time"])
        async for item in job.watch():
            if isinstance(item, Output):
                print(item.payload.text)
        print("result:", await job)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
