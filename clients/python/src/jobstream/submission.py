"""Builds the JobSpec of a submit."""

from __future__ import annotations

from typing import Final

from .ids import checked_job_id, new_job_id
from .options import RetryPolicy, SubmitOptions
from .payload import encode
from .times import to_duration, to_timestamp
from .v1 import job_pb2


class NoInput:
    """Marks a missing input: the job has an empty payload."""


NO_INPUT: Final = NoInput()


def job_spec(kind: str, value: object, options: SubmitOptions) -> job_pb2.JobSpec:
    """Builds the spec. The job id is generated here once, so a retry never creates a second job."""
    spec = job_pb2.JobSpec(
        job_id=checked_job_id(options["job_id"]) if "job_id" in options else new_job_id(),
        kind=kind,
        queue=options.get("queue", ""),
        payload=None if isinstance(value, NoInput) else encode(value).to_proto(),
        priority=options.get("priority", 0),
        labels=options.get("labels"),
        headers=options.get("headers"),
    )
    if "trace_context" in options:
        spec.trace_context.CopyFrom(options["trace_context"].to_proto())
    add_times(spec, options)
    add_retry(spec, options)
    return spec


def add_times(spec: job_pb2.JobSpec, options: SubmitOptions) -> None:
    if "delay" in options and "start_time" in options:
        raise ValueError("a job has a delay or a start_time, not both")
    if "delay" in options:
        spec.start_delay.CopyFrom(to_duration(options["delay"]))
    if "start_time" in options:
        spec.start_time.CopyFrom(to_timestamp(options["start_time"]))
    if "timeout" in options:
        spec.timeout.CopyFrom(to_duration(options["timeout"]))
    if "attempt_timeout" in options:
        spec.attempt_timeout.CopyFrom(to_duration(options["attempt_timeout"]))
    if "retention" in options:
        spec.retention.CopyFrom(to_duration(options["retention"]))


def add_retry(spec: job_pb2.JobSpec, options: SubmitOptions) -> None:
    if "max_attempts" in options and "retry" in options:
        raise ValueError("a job has max_attempts or a retry policy, not both")
    if "max_attempts" in options:
        spec.retry.max_attempts = options["max_attempts"]
    if "retry" in options:
        spec.retry.CopyFrom(retry_policy(options["retry"]))


def retry_policy(policy: RetryPolicy) -> job_pb2.RetryPolicy:
    return job_pb2.RetryPolicy(
        max_attempts=policy.max_attempts,
        initial_backoff=None if policy.initial_backoff is None else to_duration(policy.initial_backoff),
        multiplier=policy.multiplier or 0.0,
        max_backoff=None if policy.max_backoff is None else to_duration(policy.max_backoff),
        jitter=policy.jitter,
        max_lost_attempts=policy.max_lost_attempts or 0,
    )
