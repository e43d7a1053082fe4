"""The conformance agent of `Client` and `Worker`. Each command runs on a thread."""

from __future__ import annotations

import itertools
import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lines
from lines import Line

from jobstream import (
    Cancelled,
    Client,
    Context,
    Feed,
    HandlerInterceptor,
    Job,
    JobSpec,
    Payload,
    SubmitInterceptor,
    Submitted,
    Watch,
    Worker,
)
from jobstream.payload import decode


class Agent:
    def __init__(self) -> None:
        self.client: Client | None = None
        self.handles: dict[str, Job[Payload]] = {}
        self.running: dict[int, Watch | Feed | Worker] = {}
        self.held: dict[str, queue.SimpleQueue[object]] = {}

    def job(self, line: Line) -> Job[Payload]:
        assert self.client is not None
        return self.handles.get(line["job_id"]) or self.client.job(line["job_id"], returns=Payload)

    def connect(self, line: Line) -> Line:
        if self.client is not None:
            self.client.close()
        interceptors = [submit_interceptor(name) for name in line.get("interceptors", [])]
        self.client = Client(line["address"], lines.client_options(line), interceptors=interceptors)
        self.handles.clear()
        return {}

    def submit(self, line: Line) -> Line:
        assert self.client is not None
        given = lines.read_payload(line["payload"])
        job = self.client.submit(line["kind"], given, returns=Payload, **lines.submit_options(line))
        return self.retain(job)

    def retain(self, job: Job[Payload]) -> Line:
        """Retains the handle of a submitted job."""
        self.handles[job.id] = job
        return {"job_id": job.id, "wait_reason": job.wait_reason}

    def run(self, line: Line) -> Line:
        assert self.client is not None
        given, wait = lines.read_payload(line["payload"]), lines.seconds(line, "wait")
        payload = self.client.run(line["kind"], given, returns=Payload, wait=wait, **lines.submit_options(line))
        return {"payload": lines.write_payload(payload, decode(payload))}

    def load(self, line: Line) -> Line:
        client = self.client
        assert client is not None
        began = time.perf_counter()
        with ThreadPoolExecutor(line["in_flight"]) as threads:
            submitted = threads.map(lambda number: client.submit(line["kind"], {"n": number}), range(line["jobs"]))
            for _ in submitted:
                pass
        return {"seconds": time.perf_counter() - began}

    def result(self, line: Line) -> Line:
        payload = self.job(line).result(lines.seconds(line, "timeout"))
        return {"payload": lines.write_payload(payload, decode(payload))}

    def state(self, line: Line) -> Line:
        return {"state": self.job(line).state()}

    def cancel(self, line: Line) -> Line:
        return {"state": self.job(line).cancel(line["reason"], lines.seconds(line, "grace"))}

    def list(self, line: Line) -> Line:
        assert self.client is not None
        jobs = itertools.islice(self.client.list(**lines.job_filter(line)), line.get("limit"))
        return {"jobs": [lines.listed(job) for job in jobs]}

    def retry(self, line: Line) -> Line:
        assert self.client is not None
        job = self.client.retry(line["job_id"], returns=Payload)
        return self.retain(job)

    def delete(self, line: Line) -> Line:
        assert self.client is not None
        self.client.delete(line["job_id"])
        return {}

    def batch(self, line: Line) -> Line:
        assert self.client is not None
        results: list[Line] = []
        for result in self.client.submit_all(map(lines.job_request, line["jobs"]), returns=Payload):
            if isinstance(result, Job):
                results.append(self.retain(result))
            else:
                results.append({"error": lines.error_of(result)})
        return {"results": results}

    def queues(self, _: Line) -> Line:
        assert self.client is not None
        return {"queues": [lines.counted(queue) for queue in self.client.queues()]}

    def pause(self, line: Line) -> Line:
        assert self.client is not None
        self.client.pause_queue(line["queue"])
        return {}

    def resume(self, line: Line) -> Line:
        assert self.client is not None
        self.client.resume_queue(line["queue"])
        return {}

    def purge(self, line: Line) -> Line:
        assert self.client is not None
        return {"cancelled": self.client.purge_queue(line["queue"])}

    def watch(self, line: Line) -> Line:
        options = {"heartbeat": line["heartbeat"] / 1000} if "heartbeat" in line else {}
        with self.job(line).watch(line.get("after", 0), **options) as watch:
            self.running[line["id"]] = watch
            for event in watch:
                lines.write(line["id"], event=lines.watch_item(event))
        return {}

    def feed(self, line: Line) -> Line:
        assert self.client is not None
        changes = self.client.watch_jobs(after_cursor=line.get("after_cursor", ""), **lines.change_filter(line))
        with changes as feed:
            self.running[line["id"]] = feed
            for item in feed:
                lines.write(line["id"], event=lines.feed_item(item, feed.cursor))
        return {}

    def work(self, line: Line) -> Line:
        assert self.client is not None
        emit = emitter(line["id"])
        client = Client(line["address"], lines.client_options(line)) if "address" in line else self.client
        times = {"drain_timeout": line["drain_timeout"] / 1000} if "drain_timeout" in line else {}
        connected = {"on_connect": lambda _: emit({"type": "connected"})}
        interceptors = [handler_interceptor(name) for name in line.get("interceptors", [])]
        worker = Worker(client, line["name"], slots=line["slots"], interceptors=interceptors, **times, **connected)
        for kind, behaviour in line["handlers"].items():
            worker.handler(kind)(self.behaviour(behaviour, emit))
        self.running[line["id"]] = worker
        worker.run(signals=line.get("signals", False))
        return {}

    def release(self, line: Line) -> Line:
        self.held[line["job_id"]].put(lines.read_payload(line["payload"]))
        return {}

    def drain(self, line: Line) -> Line:
        worker = self.running[line["target"]]
        assert isinstance(worker, Worker)
        worker.drain(line["within"] / 1000)
        return {}

    def stop(self, line: Line) -> Line:
        target = self.running[line["target"]]
        if isinstance(target, Worker):
            target.stop()
        else:
            target.close()
        return {}

    def behaviour(self, name: str, emit: Callable[[Line], None]) -> Callable[..., Any]:
        def hold(context: Context) -> object:
            released = self.hold(context, emit)
            while True:
                try:
                    return released.get(timeout=0.01)
                except queue.Empty:
                    if context.is_cancelled:
                        emit({"type": "cancelled", "job_id": context.job_id})
                        raise Cancelled from None

        def ignore_cancel(context: Context) -> object:
            return self.hold(context, emit).get()

        return {"hold": hold, "ignore_cancel": ignore_cancel}.get(name) or BEHAVIOURS[name]

    def hold(self, context: Context, emit: Callable[[Line], None]) -> queue.SimpleQueue[object]:
        released = self.held[context.job_id] = queue.SimpleQueue()
        context.on_settled(lambda error: emit(lines.settled(context, error)))
        emit({"type": "started", "job_id": context.job_id, "attempt": context.attempt})
        return released


def echo(context: Context, value: Any) -> object:
    return lines.echoed(context.payload, value)


def stream(context: Context, value: Any) -> object:
    result = lines.echoed(context.payload, value)
    context.output(result, "out")
    return result


def emit_steps(context: Context, value: dict[str, int]) -> int:
    chunks = value["chunks"]
    for i in range(1, chunks + 1):
        context.progress(i / chunks, f"step {i}")
        context.output(f"chunk {i}", "out")
        context.log(f"line {i}", "warn")
    return chunks


def count(context: Context, value: dict[str, int]) -> int:
    context.progress_of(value["done"], value["total"], "steps")
    return value["done"]


def fail(_: Context, value: Line) -> None:
    lines.fail(value)


def typed(_: Context, value: lines.Size) -> int:
    return value["width"] * 2


BEHAVIOURS: dict[str, Callable[..., Any]] = {
    "echo": echo,
    "stream": stream,
    "info": lines.info,
    "trace": lines.trace,
    "emit": emit_steps,
    "count": count,
    "fail": fail,
    "typed": typed,
}


def submit_interceptor(name: str) -> SubmitInterceptor:
    def intercept(spec: JobSpec, next: Callable[[JobSpec], Submitted]) -> Submitted:
        lines.change(spec, name)
        return next(spec)

    return intercept


def handler_interceptor(name: str) -> HandlerInterceptor:
    def intercept(context: Context, next: Callable[[Context], Payload]) -> Payload:
        context.payload = lines.named(context.payload, name)
        return lines.named(next(context), name)

    return intercept


def emitter(number: int) -> Callable[[Line], None]:
    return lambda event: lines.write(number, event=event)


def serve() -> None:
    agent = Agent()
    # Python handles signals in the main thread only, so commands that use signals run there.
    in_main: queue.SimpleQueue[Line | None] = queue.SimpleQueue()

    def run(line: Line) -> None:
        try:
            lines.write(line["id"], ok=getattr(agent, line["op"])(line))
        except BaseException as error:  # noqa: BLE001
            lines.write(line["id"], error=lines.error_of(error))

    def read() -> None:
        for text in sys.stdin:
            line = json.loads(text)
            if line.get("signals"):
                in_main.put(line)
            else:
                threading.Thread(target=run, args=(line,), daemon=True).start()
        in_main.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (line := in_main.get()) is not None:
        run(line)
