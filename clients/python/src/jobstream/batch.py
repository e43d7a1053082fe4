"""Submits many jobs in few calls: splits them into batches and reads the results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from typing_extensions import Unpack

from .errors import JobstreamError
from .options import SubmitOptions
from .status import from_rpc_status
from .submission import NO_INPUT, job_spec
from .v1 import job_service_pb2

CALL_JOBS_MAX = 1_000
"""Most jobs of one call; the limit of the server."""
CALL_BYTES_FULL = 2 << 20
"""Bytes of jobs after which a call is sent. One more job of the largest size still fits the 4 MiB that servers read."""


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

    def __repr__(self) -> str:
        return f"JobRequest({self._spec.kind!r}, job_id={self.job_id!r})"


def batches(requests: Iterable[JobRequest]) -> Iterator[Sequence[JobRequest]]:
    """Splits requests into calls."""
    batch: list[JobRequest] = []
    size = 0
    for request in requests:
        batch.append(request)
        size += request._spec.ByteSize()
        if len(batch) == CALL_JOBS_MAX or size >= CALL_BYTES_FULL:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def batch_request(batch: Sequence[JobRequest]) -> job_service_pb2.BatchSubmitRequest:
    return job_service_pb2.BatchSubmitRequest(jobs=[request._spec for request in batch])


def batch_results(
    batch: Sequence[JobRequest], response: job_service_pb2.BatchSubmitResponse, address: str
) -> list[job_service_pb2.SubmitResponse | JobstreamError]:
    """The response or the error of each request."""
    if len(response.results) != len(batch):
        raise JobstreamError(f"the server at {address} sent {len(response.results)} results for {len(batch)} jobs")
    return [
        from_rpc_status(result.error, address) if result.HasField("error") else result.submitted
        for result in response.results
    ]
