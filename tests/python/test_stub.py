"""What a service with generated Python stubs does: submit, wait, watch, resume, cancel, batch, stream."""

import time
import uuid

import grpc
import pytest
from conftest import TIMEOUT
from google.protobuf import duration_pb2, json_format


@pytest.fixture
def v1(api):
    """Messages by their plain name."""

    class Messages:
        def __getattr__(self, name):
            for module in (api.job_service_pb2, api.job_pb2, api.payload_pb2, api.admin_service_pb2):
                if hasattr(module, name):
                    return getattr(module, name)
            raise AttributeError(name)

    return Messages()


@pytest.fixture
def submit(v1, jobs):
    """Submits a job with a JSON payload and answers its id."""

    def submit(kind, payload=None, **spec):
        job = json_format.ParseDict({"kind": kind, "payload": {"json": payload}}, v1.JobSpec())
        job.MergeFrom(v1.JobSpec(**spec))
        return jobs.Submit(v1.SubmitRequest(job=job), timeout=TIMEOUT).job_id

    return submit


@pytest.fixture
def result(v1, jobs):
    """Waits for a job's end."""

    def result(job_id):
        wait = duration_pb2.Duration(seconds=TIMEOUT)
        return jobs.GetResult(v1.GetResultRequest(job_id=job_id, wait=wait), timeout=TIMEOUT)

    return result


@pytest.fixture
def watch(v1, jobs):
    """A job's messages from a sequence on; the call can be cancelled."""

    def watch(job_id, after=0, timeout=TIMEOUT):
        return jobs.WatchResult(v1.WatchResultRequest(job_id=job_id, after_sequence=after), timeout=timeout)

    return watch


def wait_until_running(v1, watch, job_id):
    call = watch(job_id)
    for message in call:
        if message.event.state_change.state == v1.JOB_STATE_RUNNING:
            call.cancel()
            return
    raise AssertionError("the job ended without running")


def test_json_goes_in_and_comes_out(v1, submit, result):
    payload = {"name": "ann", "list": [1, 2.5, None, True, {"deep": "yes"}], "empty": {}}
    answer = result(submit("demo.echo", payload))
    assert answer.state == v1.JOB_STATE_SUCCEEDED
    assert json_format.MessageToDict(answer.outcome.result.json) == payload
    assert answer.outcome.result.content_type in ("", "application/json")


@pytest.mark.parametrize("body", [{"text": '{"n":9007199254740993}'}, {"data": bytes(range(256))}])
def test_text_and_bytes_come_back_as_they_were(v1, jobs, result, body):
    job = v1.JobSpec(kind="demo.echo", payload=v1.Payload(**body))
    job_id = jobs.Submit(v1.SubmitRequest(job=job)).job_id
    (name, content), = body.items()
    assert getattr(result(job_id).outcome.result, name) == content


def test_result_is_waited_for_and_without_waiting_is_open(v1, jobs, submit, result):
    job_id = submit("demo.sleep", {"seconds": 0.3})
    now = jobs.GetResult(v1.GetResultRequest(job_id=job_id))
    assert now.state in (v1.JOB_STATE_QUEUED, v1.JOB_STATE_RUNNING) and not now.HasField("outcome")
    assert result(job_id).state == v1.JOB_STATE_SUCCEEDED


def test_same_id_is_the_same_job(v1, jobs):
    job = v1.JobSpec(job_id=str(uuid.uuid4()), kind="demo.echo")
    first, second = (jobs.Submit(v1.SubmitRequest(job=job)) for _ in range(2))
    assert first.disposition == v1.DISPOSITION_CREATED
    assert second.disposition == v1.DISPOSITION_EXISTING
    assert first.job_id == second.job_id == job.job_id


def test_failed_job_is_data(v1, submit, result):
    answer = result(submit("demo.fail", {"message": "no such file"}))
    assert answer.state == v1.JOB_STATE_FAILED
    failure = answer.outcome.failure
    assert failure.reason == v1.FAILURE_REASON_HANDLER
    assert failure.message == "no such file" and failure.type == "demo.Failure" and not failure.retryable


def test_watch_resumes_where_it_was_cut(v1, submit, watch):
    job_id = submit("demo.stream", {"chunks": 6, "interval_seconds": 0.05})
    call = watch(job_id)
    seen = []
    for message in call:
        seen.append(message.event)
        if message.event.WhichOneof("event") == "output" and len(seen) >= 4:
            call.cancel()
            break
    seen += [message.event for message in watch(job_id, after=seen[-1].sequence)]
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    chunks = [event.output.payload.text for event in seen if event.HasField("output")]
    assert chunks == [f"chunk {number} of 6\n" for number in range(1, 7)]
    assert seen[-1].state_change.outcome.result.json.struct_value.fields["chunks"].number_value == 6


def test_watch_of_an_ended_job_sends_the_same_again(submit, result, watch):
    job_id = submit("demo.stream", {"chunks": 3, "interval_seconds": 0})
    result(job_id)
    first, second = (list(watch(job_id)) for _ in range(2))
    assert first == second
    assert list(watch(job_id, after=2)) == first[2:]


def test_run_answers_the_submit_then_every_event(v1, jobs):
    job = v1.JobSpec(kind="demo.count")
    json_format.ParseDict({"json": {"to": 3, "interval_seconds": 0.02}}, job.payload)
    messages = list(jobs.Run(v1.RunRequest(job=job), timeout=TIMEOUT))
    assert messages[0].submitted.disposition == v1.DISPOSITION_CREATED
    states = [m.event.state_change.state for m in messages if m.event.HasField("state_change")]
    assert states == [v1.JOB_STATE_QUEUED, v1.JOB_STATE_RUNNING, v1.JOB_STATE_SUCCEEDED]
    progress = [m.event.progress for m in messages if m.event.HasField("progress")]
    assert progress[-1].done == progress[-1].total == 3


def test_running_job_is_cancelled(v1, jobs, submit, result, watch):
    job_id = submit("demo.sleep", {"seconds": 600})
    wait_until_running(v1, watch, job_id)
    jobs.Cancel(v1.CancelRequest(job_id=job_id, reason="not needed"))
    answer = result(job_id)
    assert answer.state == v1.JOB_STATE_CANCELLED
    assert answer.outcome.cancellation.reason == "not needed" and not answer.outcome.cancellation.forced


def test_cut_run_cancels_its_job_if_asked_to(v1, jobs, result):
    job = v1.JobSpec(kind="demo.sleep")
    json_format.ParseDict({"json": {"seconds": 600}}, job.payload)
    call = jobs.Run(v1.RunRequest(job=job, cancel_on_disconnect=True), timeout=TIMEOUT)
    job_id = next(call).submitted.job_id
    call.cancel()
    assert result(job_id).state == v1.JOB_STATE_CANCELLED


def test_finished_job_is_retried_as_a_new_one(v1, jobs, submit, result):
    job_id = submit("demo.fail", {})
    result(job_id)
    payload = v1.Payload(text="again")
    retried = jobs.Retry(v1.RetryRequest(job_id=job_id, kind="demo.echo", payload=payload))
    assert result(retried.job_id).outcome.result.text == "again"
    assert jobs.GetJob(v1.GetJobRequest(job_id=retried.job_id)).job.origin_job_id == job_id
    assert result(job_id).state == v1.JOB_STATE_FAILED


def test_batch_answers_each_job_in_order(v1, jobs, result):
    specs = [v1.JobSpec(kind=kind) for kind in ("demo.echo", "no such kind!", "demo.echo")]
    results = jobs.BatchSubmit(v1.BatchSubmitRequest(jobs=specs)).results
    assert [each.WhichOneof("result") for each in results] == ["submitted", "error", "submitted"]
    assert results[1].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    for accepted in (results[0], results[2]):
        assert result(accepted.submitted.job_id).state == v1.JOB_STATE_SUCCEEDED


def test_atomic_batch_keeps_all_or_none(v1, jobs):
    label = str(uuid.uuid4())
    specs = [v1.JobSpec(kind=kind, labels={"batch": label}) for kind in ("demo.echo", "no such kind!")]
    with pytest.raises(grpc.RpcError) as refused:
        jobs.BatchSubmit(v1.BatchSubmitRequest(jobs=specs, atomic=True))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert not jobs.ListJobs(v1.ListJobsRequest(labels={"batch": label})).jobs


def test_stream_acknowledges_every_batch_and_sends_every_outcome(v1, jobs):
    batches, size = 5, 40
    spec = v1.JobSpec(kind="demo.echo", payload=v1.Payload(text="hi"))
    requests = (
        v1.SubmitStreamRequest(batch=batch, jobs=[spec] * size, outcomes=True) for batch in range(batches)
    )
    accepted, ended = {}, {}
    messages = list(jobs.SubmitStream(requests, timeout=TIMEOUT))
    assert messages[0].window > 0
    for message in messages:
        for ack in message.acks:
            accepted.update({(ack.batch, i): r.submitted.job_id for i, r in enumerate(ack.results)})
        for end in message.outcomes:
            assert (end.batch, end.index) not in ended and end.outcome.result.text == "hi"
            ended[end.batch, end.index] = end.job_id
    assert len(accepted) == batches * size and accepted == ended


def test_list_finds_jobs_by_label_in_stable_pages(v1, jobs, submit):
    label = str(uuid.uuid4())
    expected = [submit("demo.echo", {}, labels={"run": label}) for _ in range(7)]
    found, token = [], ""
    while True:
        request = v1.ListJobsRequest(labels={"run": label}, page_size=3, page_token=token)
        page = jobs.ListJobs(request)
        found += [job.job_id for job in page.jobs]
        if not (token := page.next_page_token):
            break
    assert found == expected[::-1]


def test_deadline_ends_a_watch_and_not_its_job(v1, jobs, submit, watch):
    job_id = submit("demo.sleep", {"seconds": 600})
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as ended:
        list(watch(job_id, timeout=0.5))
    assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 5
    assert jobs.GetResult(v1.GetResultRequest(job_id=job_id)).state == v1.JOB_STATE_RUNNING
    jobs.Cancel(v1.CancelRequest(job_id=job_id))


def test_wait_answers_before_the_deadline_of_its_call(v1, jobs, submit):
    job_id = submit("demo.sleep", {"seconds": 600})
    wait = duration_pb2.Duration(seconds=60)
    answer = jobs.GetResult(v1.GetResultRequest(job_id=job_id, wait=wait), timeout=1)
    assert not answer.HasField("outcome")
    jobs.Cancel(v1.CancelRequest(job_id=job_id))


def test_compressed_calls_and_foreign_metadata_are_welcome(v1, jobs, result):
    job = v1.JobSpec(kind="demo.echo", payload=v1.Payload(text="a" * 100_000))
    metadata = [("x-team", "video"), ("x-trace-bin", b"\x00\xff")]
    submitted = jobs.Submit(
        v1.SubmitRequest(job=job), metadata=metadata, compression=grpc.Compression.Gzip
    )
    assert result(submitted.job_id).outcome.result.text == "a" * 100_000


def test_server_info_has_kinds_and_limits(v1, admin):
    info = admin.GetServerInfo(v1.GetServerInfoRequest())
    assert info.mode == "memory" and info.durability == v1.DURABILITY_MEMORY
    assert "demo.echo" in info.kinds and info.limits.payload_bytes_max > 0
