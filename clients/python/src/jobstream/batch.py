"""Submits many jobs in few calls: collects them into batches and reads the results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

from typing_extensions import Unpack

from .errors import JobstreamError
from .interceptors import JobSpec
from .options import SubmitOptions
from .status import from_rpc_status
from .submission import NO_INPUT, job_spec
from .v1 import job_pb2, job_service_pb2

CALL_JOBS_MAX = 1_000
"""Most jobs of one call; the limit of the server."""
CALL_BYTES_FULL = 2 << 20
"""Bytes of jobs after which a call is sent. One more job of the largest size still fits the 4 MiB that servers read."""

Entry = Union[job_pb2.JobSpec, JobstreamError]
"""A job to send, or the error of an interceptor that refused it."""


class JobRequest:
    """A job for `submit_all`. The parameters are those of `submit`.

    Its id is chosen when it is created and is its idempotency key: submitting the request again returns the same job.
    """

    def __init__(self, kind: str, input: object = NO_INPUT, **options: Unpack[SubmitOptions]) -> None:
        self._spec = job_spec(kind, input, options)

    @property
    def job_id(self) -> str:
        """The id that the job has or will have."""
        return self._spec.job_id

    def _copy(self) -> JobSpec:
        """A copy of the job, which interceptors may change."""
        spec = job_pb2.JobSpec()
        spec.CopyFrom(self._spec)
        return JobSpec(spec)

    def __repr__(self) -> str:
        return f"JobRequest({self._spec.kind!r}, job_id={self.job_id!r})"


class Batch:
    """The jobs of one call."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.size = 0

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        if not isinstance(entry, JobstreamError):
            self.size += entry.ByteSize()

    @property
    def is_full(self) -> bool:
        return len(self.entries) == CALL_JOBS_MAX or self.size >= CALL_BYTES_FULL

    def request(self) -> job_service_pb2.BatchSubmitRequest | None:
        """The call; None without a job to send."""
        specs = [entry for entry in self.entries if not isinstance(entry, JobstreamError)]
        return job_service_pb2.BatchSubmitRequest(jobs=specs) if specs else None

    def results(
        self, response: job_service_pb2.BatchSubmitResponse, address: str
    ) -> Iterator[job_service_pb2.SubmitResponse | JobstreamError]:
        """The response or the error of each job."""
        jobs = sum(not isinstance(entry, JobstreamError) for entry in self.entries)
        if len(response.results) != jobs:
            raise JobstreamError(f"the server at {address} sent {len(response.results)} results for {jobs} jobs")
        results = iter(response.results)
        for entry in self.entries:
            if isinstance(entry, JobstreamError):
                yield entry
                continue
            result = next(results)
            yield from_rpc_status(result.error, address) if result.HasField("error") else result.submitted
