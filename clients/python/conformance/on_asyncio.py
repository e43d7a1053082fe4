"""The conformance agent of `AsyncClient` and `AsyncWorker`. Each command runs as a task."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import lines
from lines import Line

from jobstream import (
    AsyncClient,
    AsyncContext,
    AsyncFeed,
    AsyncHandlerInterceptor,
    AsyncJob,
    AsyncSubmitInterceptor,
    AsyncWatch,
    AsyncWorker,
    JobSpec,
    Payload,
    Submitted,
)
from jobstream.payload import decode


class Agent:
    def __init__(self) -> None:
        self.client: AsyncClient | None = None
        self.handles: dict[str, AsyncJob[Payload]] = {}
        self.running: dict[int, AsyncWatch | AsyncFeed | AsyncWorker] = {}
        self.held: dict[str, asyncio.Future[object]] = {}

    def job(self, line: Line) -> AsyncJob[Payload]:
        assert self.client is not None
        return self.handles.get(line["job_id"]) or self.client.job(line["job_id"], returns=Payload)

    async def connect(self, line: Line) -> Line:
        if self.client is not None:
            await self.client.close()
        interceptors = [submit_interceptor(name) for name in line.get("interceptors", [])]
        self.client = AsyncClient(line["address"], lines.client_options(line), interceptors=interceptors)
        self.handles.clear()
        return {}

    async def submit(self, line: Line) -> Line:
        assert self.client is not None
        given = lines.read_payload(line["payload"])
        job = await self.client.submit(line["kind"], given, returns=Payload, **lines.submit_options(line))
        return self.retain(job)

    def retain(self, job: AsyncJob[Payload]) -> Line:
        """Retains the handle of a submitted job."""
        self.handles[job.id] = job
        return {"job_id": job.id, "wait_reason": job.wait_reason}

    async def run(self, line: Line) -> Line:
        assert self.client is not None
        given, wait = lines.read_payload(line["payload"]), lines.seconds(line, "wait")
        payload = await self.client.run(line["kind"], given, returns=Payload, wait=wait, **lines.submit_options(line))
        return {"payload": lines.write_payload(payload, decode(payload))}

    async def load(self, line: Line) -> Line:
        client = self.client
        assert client is not None
        numbers = iter(range(line["jobs"]))

        async def submit() -> None:
            for number in numbers:
                await client.submit(line["kind"], {"n": number})

        began = time.perf_counter()
        await asyncio.gather(*(submit() for _ in range(line["in_flight"])))
        return {"seconds": time.perf_counter() - began}

    async def result(self, line: Line) -> Line:
        payload = await self.job(line).result(lines.seconds(line, "timeout"))
        return {"payload": lines.write_payload(payload, decode(payload))}

    async def state(self, line: Line) -> Line:
        return {"state": await self.job(line).state()}

    async def cancel(self, line: Line) -> Line:
        return {"state": await self.job(line).cancel(line["reason"], lines.seconds(line, "grace"))}

    async def list(self, line: Line) -> Line:
        assert self.client is not None
        limit = line.get("limit", sys.maxsize)
        jobs: list[Line] = []
        async for job in self.client.list(**lines.job_filter(line)):
            jobs.append(lines.listed(job))
            if len(jobs) == limit:
                break
        return {"jobs": jobs}

    async def retry(self, line: Line) -> Line:
        assert self.client is not None
        job = await self.client.retry(line["job_id"], returns=Payload)
        return self.retain(job)

    async def delete(self, line: Line) -> Line:
        assert self.client is not None
        await self.client.delete(line["job_id"])
        return {}

    async def batch(self, line: Line) -> Line:
        assert self.client is not None
        results: list[Line] = []
        for result in await self.client.submit_all(map(lines.job_request, line["jobs"]), returns=Payload):
            if isinstance(result, AsyncJob):
                results.append(self.retain(result))
            else:
                results.append({"error": lines.error_of(result)})
        return {"results": results}

    async def queues(self, _: Line) -> Line:
        assert self.client is not None
        return {"queues": [lines.counted(queue) for queue in await self.client.queues()]}

    async def pause(self, line: Line) -> Line:
        assert self.client is not None
        await self.client.pause_queue(line["queue"])
        return {}

    async def resume(self, line: Line) -> Line:
        assert self.client is not None
        await self.client.resume_queue(line["queue"])
        return {}

    async def purge(self, line: Line) -> Line:
        assert self.client is not None
        return {"cancelled": await self.client.purge_queue(line["queue"])}

    async def watch(self, line: Line) -> Line:
        options = {"heartbeat": line["heartbeat"] / 1000} if "heartbeat" in line else {}
        async with self.job(line).watch(line.get("after", 0), **options) as watch:
            self.running[line["id"]] = watch
            async for event in watch:
                lines.write(line["id"], event=lines.watch_item(event))
        return {}

    async def feed(self, line: Line) -> Line:
        assert self.client is not None
        changes = self.client.watch_jobs(after_cursor=line.get("after_cursor", ""), **lines.change_filter(line))
        async with changes as feed:
            self.running[line["id"]] = feed
            async for item in feed:
                lines.write(line["id"], event=lines.feed_item(item, feed.cursor))
        return {}

    async def work(self, line: Line) -> Line:
        assert self.client is not None
        emit = emitter(line["id"])
        client = AsyncClient(line["address"], lines.client_options(line)) if "address" in line else self.client
        times = {"drain_timeout": line["drain_timeout"] / 1000} if "drain_timeout" in line else {}
        connected = {"on_connect": lambda _: emit({"type": "connected"})}
        interceptors = [handler_interceptor(name) for name in line.get("interceptors", [])]
        worker = AsyncWorker(client, line["name"], slots=line["slots"], interceptors=interceptors, **times, **connected)
        for kind, behaviour in line["handlers"].items():
            worker.handler(kind)(self.behaviour(behaviour, emit))
        self.running[line["id"]] = worker
        await worker.run(signals=line.get("signals", False))
        return {}

    async def release(self, line: Line) -> Line:
        self.held[line["job_id"]].set_result(lines.read_payload(line["payload"]))
        return {}

    async def drain(self, line: Line) -> Line:
        worker = self.running[line["target"]]
        assert isinstance(worker, AsyncWorker)
        await worker.drain(line["within"] / 1000)
        return {}

    async def stop(self, line: Line) -> Line:
        target = self.running[line["target"]]
        if isinstance(target, AsyncWorker):
            await target.stop()
        else:
            await target.aclose()
        return {}

    def behaviour(self, name: str, emit: Callable[[Line], None]) -> Callable[..., Any]:
        async def hold(context: AsyncContext) -> object:
            try:
                return await self.hold(context, emit)
            except asyncio.CancelledError:
                emit({"type": "cancelled", "job_id": context.job_id})
                raise

        async def ignore_cancel(context: AsyncContext) -> object:
            released = self.hold(context, emit)
            while not released.done():
                try:
                    await asyncio.shield(released)
                except asyncio.CancelledError:
                    continue
            return released.result()

        return {"hold": hold, "ignore_cancel": ignore_cancel}.get(name) or BEHAVIOURS[name]

    def hold(self, context: AsyncContext, emit: Callable[[Line], None]) -> asyncio.Future[object]:
        released = self.held[context.job_id] = asyncio.get_running_loop().create_future()
        context.on_settled(lambda error: emit(lines.settled(context, error)))
        emit({"type": "started", "job_id": context.job_id, "attempt": context.attempt})
        return released


async def echo(context: AsyncContext, value: Any) -> object:
    return lines.echoed(context.payload, value)


async def stream(context: AsyncContext, value: Any) -> object:
    result = lines.echoed(context.payload, value)
    await context.output(result, "out")
    return result


async def info(context: AsyncContext) -> Line:
    return lines.info(context)


async def trace(context: AsyncContext) -> Line:
    return lines.trace(context)


async def emit_steps(context: AsyncContext, value: dict[str, int]) -> int:
    chunks = value["chunks"]
    for i in range(1, chunks + 1):
        context.progress(i / chunks, f"step {i}")
        await context.output(f"chunk {i}", "out")
        context.log(f"line {i}", "warn")
    return chunks


async def count(context: AsyncContext, value: dict[str, int]) -> int:
    context.progress_of(value["done"], value["total"], "steps")
    return value["done"]


async def fail(_: AsyncContext, value: Line) -> None:
    lines.fail(value)


async def typed(_: AsyncContext, value: lines.Size) -> int:
    return value["width"] * 2


BEHAVIOURS: dict[str, Callable[..., Any]] = {
    "echo": echo,
    "stream": stream,
    "info": info,
    "trace": trace,
    "emit": emit_steps,
    "count": count,
    "fail": fail,
    "typed": typed,
}


def submit_interceptor(name: str) -> AsyncSubmitInterceptor:
    async def intercept(spec: JobSpec, next: Callable[[JobSpec], Awaitable[Submitted]]) -> Submitted:
        lines.change(spec, name)
        return await next(spec)

    return intercept


def handler_interceptor(name: str) -> AsyncHandlerInterceptor:
    async def intercept(context: AsyncContext, next: Callable[[AsyncContext], Awaitable[Payload]]) -> Payload:
        context.payload = lines.named(context.payload, name)
        return lines.named(await next(context), name)

    return intercept


def emitter(number: int) -> Callable[[Line], None]:
    return lambda event: lines.write(number, event=event)


async def run(agent: Agent, line: Line) -> None:
    try:
        lines.write(line["id"], ok=await getattr(agent, line["op"])(line))
    except BaseException as error:  # noqa: BLE001
        lines.write(line["id"], error=lines.error_of(error))


async def serve() -> None:
    agent = Agent()
    tasks: set[asyncio.Task[None]] = set()
    reader = asyncio.StreamReader(limit=64 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while text := await reader.readline():
        task = asyncio.create_task(run(agent, json.loads(text)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
