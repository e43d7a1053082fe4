"""Tests interceptors of clients and workers against a real server."""

from __future__ import annotations

import asyncio
import re
import threading
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from jobstream import (
    AsyncClient,
    AsyncContext,
    AsyncWorker,
    BaseContext,
    Client,
    Context,
    InvalidRequest,
    Job,
    JobFailed,
    JobIdReused,
    JobRequest,
    JobSpec,
    Payload,
    Submitted,
    Worker,
)

README = Path(__file__).parents[1] / "README.md"
tenant = ContextVar("tenant", default="none")


def mirrored(payload: Payload) -> Payload:
    """Stands for a cipher."""
    return Payload(payload.bytes[::-1], "application/x-mirrored")


def opened(payload: Payload) -> Payload:
    assert payload.content_type == "application/x-mirrored"
    return Payload(payload.bytes[::-1], "application/json")


def mirror(spec: JobSpec, next: Callable[[JobSpec], Submitted]) -> Submitted:
    spec.payload = mirrored(spec.payload)
    return next(spec)


async def mirror_async(spec: JobSpec, next: Callable[[JobSpec], Awaitable[Submitted]]) -> Submitted:
    spec.payload = mirrored(spec.payload)
    return await next(spec)


def open_around(context: Context, next: Callable[[Context], Payload]) -> Payload:
    context.payload = opened(context.payload)
    return mirrored(next(context))


async def open_around_async(context: BaseContext, next: Callable[[BaseContext], Awaitable[Payload]]) -> Payload:
    context.payload = opened(context.payload)
    return mirrored(await next(context))


def test_program_of_the_readme_encrypts_input_and_result(
    address: str, client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = README.read_text().partition("## Interceptors")[2].partition("\n## ")[0]
    (program,) = re.findall(r"```python\n(from .*?)```", section, re.DOTALL)
    monkeypatch.setenv("JOBSTREAM_ADDRESS", address)
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)
    assert capsys.readouterr().out == "hello Ada of acme\n"
    job = names["job"]
    assert isinstance(job, Job)
    stored = client.get(job.id)
    result = client.job(job.id, returns=Payload).result(10)
    for payload in (stored.input, result):
        assert payload.content_type == "application/x-encrypted"
        assert b"Ada" not in payload.bytes
    assert stored.labels == {"tenant": "acme"}
    # The job of a retry has another id.
    interceptors: Any = [names["enter_tenant"], names["decrypt_input_and_encrypt_result"]]
    worker = Worker(client, "again", interceptors=interceptors)
    greet: Any = names["greet"]
    worker.handler("greet")(greet)
    with worker:
        again = client.job(client.retry(job.id).id, returns=Payload).result(10)
    decrypted: Any = names["decrypted"]
    assert decrypted(again).json() == "hello Ada of acme"


def test_first_interceptor_is_the_outermost(client: Client, address: str) -> None:
    seen: list[str] = []

    def submitting(name: str) -> Callable[[JobSpec, Callable[[JobSpec], Submitted]], Submitted]:
        def intercept(spec: JobSpec, next: Callable[[JobSpec], Submitted]) -> Submitted:
            seen.append(f"{name} {spec.kind} {spec.queue}")
            spec.headers[name] = "set"
            submitted = next(spec)
            seen.append(f"{name} {submitted.wait_reason}")
            return submitted

        return intercept

    def handling(name: str) -> Callable[[Context, Callable[[Context], Payload]], Payload]:
        def intercept(context: Context, next: Callable[[Context], Payload]) -> Payload:
            seen.append(f"{name} {context.job_id} {context.attempt} {sorted(context.headers)}")
            result = next(context)
            seen.append(f"{name} {result.text}")
            return result

        return intercept

    with Client(address, interceptors=[submitting("a"), submitting("b")]) as caller:
        job = caller.submit("nested", 1)
    assert seen == ["a nested default", "b nested default", "b NO_WORKER", "a NO_WORKER"]
    assert job.wait_reason == "NO_WORKER"
    seen.clear()
    worker = Worker(client, "tests", interceptors=[handling("x"), handling("y")])
    worker.handler("nested")(lambda _, number: number + 1)
    with worker:
        assert client.job(job.id).result(10) == 2
    entered = f"{job.id} 1 ['a', 'b']"
    assert seen == [f"x {entered}", f"y {entered}", "y 2", "x 2"]


def test_each_way_to_submit_passes_through_the_interceptors(client: Client, address: str) -> None:
    worker = Worker(client, "tests", interceptors=[open_around])
    worker.handler("double")(lambda _, text: text * 2)
    with worker, Client(address, interceptors=[mirror]) as caller:
        assert opened(caller.submit("double", "ab", returns=Payload).result(10)).json() == "abab"
        assert opened(caller.run("double", "cd", returns=Payload, wait=10)).json() == "cdcd"
        requests = [JobRequest("double", "ef"), JobRequest("double", "gh")]
        for _ in range(2):  # The second time returns the jobs of the first.
            jobs = caller.submit_all(requests, returns=Payload)
            assert [opened(job.result(10)).json() for job in jobs if isinstance(job, Job)] == ["efef", "ghgh"]
        assert client.get(requests[0].job_id).input.text == '"fe"'


async def test_each_way_to_submit_passes_through_the_interceptors_of_asyncio(
    async_client: AsyncClient, address: str
) -> None:
    worker = AsyncWorker(async_client, "tests", interceptors=[open_around_async])

    @worker.handler("double-async")
    async def double(_: AsyncContext, text: str) -> str:
        return text * 2

    threads: list[int] = []

    @worker.handler("double-on-thread")
    def double_on_thread(context: Context, text: str) -> str:
        threads.append(threading.get_ident())
        context.check_cancelled()
        return text * 2

    async with worker, AsyncClient(address, interceptors=[mirror_async]) as caller:
        for kind in ("double-async", "double-on-thread"):
            assert opened(await (await caller.submit(kind, "ab", returns=Payload))).json() == "abab"
            assert opened(await caller.run(kind, "cd", returns=Payload, wait=10)).json() == "cdcd"
            jobs = await caller.submit_all([JobRequest(kind, "ef")], returns=Payload)
            assert [opened(await job).json() for job in jobs if not isinstance(job, Exception)] == ["efef"]
    assert threading.get_ident() not in threads


async def test_context_variables_of_an_interceptor_reach_the_handler(async_client: AsyncClient) -> None:
    async def enter(context: BaseContext, next: Callable[[BaseContext], Awaitable[Payload]]) -> Payload:
        tenant.set(context.labels["tenant"])
        return await next(context)

    worker = AsyncWorker(async_client, "tests", interceptors=[enter])
    worker.handler("tenant-on-thread")(lambda _: tenant.get())

    @worker.handler("tenant-in-task")
    async def in_task(_: AsyncContext) -> str:
        return tenant.get()

    async with worker:
        for kind in ("tenant-on-thread", "tenant-in-task"):
            assert await async_client.run(kind, labels={"tenant": "acme"}, wait=10) == "acme"
    assert tenant.get() == "none"


def test_submit_interceptor_can_refuse_a_job(client: Client, address: str) -> None:
    def refuse(spec: JobSpec, next: Callable[[JobSpec], Submitted]) -> Submitted:
        if spec.payload.json() == "bad":
            raise InvalidRequest("no tenant")
        return next(spec)

    with Client(address, interceptors=[refuse]) as caller:
        for call in (caller.submit, caller.run):
            with pytest.raises(InvalidRequest, match="no tenant"):
                call("refused", "bad")
        requests = [JobRequest("refused", text) for text in ("good", "bad", "good")]
        first, second, third = caller.submit_all(requests)
        assert isinstance(second, InvalidRequest)
        assert isinstance(first, Job)
        assert isinstance(third, Job)
        (alone,) = caller.submit_all([JobRequest("refused", "bad")])
        assert isinstance(alone, InvalidRequest)
    assert len(list(client.list(kind="refused"))) == 2


def test_interceptor_must_call_next_in_run_and_batches(address: str) -> None:
    with Client(address, interceptors=[lambda spec, _: Submitted(spec.job_id)]) as caller:
        with pytest.raises(RuntimeError, match="was not sent"):
            caller.run("skipped")
        with pytest.raises(RuntimeError, match="was not sent"):
            caller.submit_all([JobRequest("skipped")])


def test_interceptor_may_call_next_again_after_an_error(client: Client, address: str) -> None:
    job_id = str(uuid.uuid4())
    client.submit("retried", 1, job_id=job_id)

    def with_another_input(spec: JobSpec, next: Callable[[JobSpec], Submitted]) -> Submitted:
        try:
            return next(spec)
        except JobIdReused:
            spec.payload = Payload("1", "application/json")
            return next(spec)

    worker = Worker(client, "tests")
    worker.handler("retried")(lambda _, number: number)
    with worker, Client(address, interceptors=[with_another_input]) as caller:
        assert caller.run("retried", 2, job_id=job_id, wait=10) == 1


def test_handler_interceptor_can_fail_the_attempt(client: Client) -> None:
    def check(context: Context, next: Callable[[Context], Payload]) -> Payload:
        if "tenant" not in context.labels:
            raise PermissionError("the job has no tenant")
        return next(context)

    worker = Worker(client, "tests", interceptors=[check])
    worker.handler("checked")(lambda _: "done")
    with worker:
        with pytest.raises(JobFailed, match="no tenant") as failed:
            client.run("checked", wait=10)
        assert failed.value.failure.type == "PermissionError"
        assert client.run("checked", labels={"tenant": "acme"}, wait=10) == "done"


async def test_interceptor_without_a_result_fails_the_attempt(async_client: AsyncClient, client: Client) -> None:
    async def forget_async(context: BaseContext, next: Callable[[BaseContext], Awaitable[Payload]]) -> Payload:
        await next(context)
        return None  # type: ignore[return-value]

    def forget(context: Context, next: Callable[[Context], Payload]) -> Payload:
        next(context)
        return None  # type: ignore[return-value]

    async def task(_: AsyncContext) -> None: ...

    worker = Worker(client, "tests", interceptors=[forget])
    worker.handler("forgotten")(lambda _: None)
    async_worker = AsyncWorker(async_client, "tests", interceptors=[forget_async])
    async_worker.handler("forgotten-async")(task)
    async_worker.handler("forgotten-on-thread")(lambda _: None)
    worker.start()
    async with async_worker:
        for kind in ("forgotten", "forgotten-async", "forgotten-on-thread"):
            with pytest.raises(JobFailed, match="returned a NoneType: return the Payload of next"):
                await async_client.run(kind, wait=10)
    worker.stop()


async def test_cancellation_reaches_a_coroutine_behind_an_interceptor(async_client: AsyncClient) -> None:
    started, seen = asyncio.Event(), asyncio.Queue[str]()

    async def watch(context: BaseContext, next: Callable[[BaseContext], Awaitable[Payload]]) -> Payload:
        try:
            return await next(context)
        except asyncio.CancelledError:
            seen.put_nowait("cancelled")
            raise

    worker = AsyncWorker(async_client, "tests", interceptors=[watch])

    @worker.handler("sleeps-intercepted")
    async def sleeps(_: AsyncContext) -> None:
        started.set()
        await asyncio.sleep(60)

    async with worker:
        job = await async_client.submit("sleeps-intercepted")
        await asyncio.wait_for(started.wait(), 10)
        await job.cancel()
        assert await asyncio.wait_for(seen.get(), 10) == "cancelled"


def test_interceptors_of_the_other_kind_are_rejected(address: str) -> None:
    with pytest.raises(TypeError, match="not a coroutine"):
        Client(address, interceptors=[mirror_async])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="async def"):
        AsyncClient(address, interceptors=[mirror])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="not a coroutine"):
        Worker(Client(address), "tests", interceptors=[open_around_async])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="async def"):
        AsyncWorker(AsyncClient(address), "tests", interceptors=[open_around])  # type: ignore[list-item]
