"""Which start of the server accepted a job, so that one that a restart lost can be told from one that never was."""

from __future__ import annotations

from .errors import Facts, JobNotFound, JobstreamError, ServerRestarted
from .v1 import admin_service_pb2

MEMORY = "memory"
"""The mode in which a restart loses every job."""


class Boot:
    """One start of the server; `id` is empty until the server told it."""

    def __init__(self) -> None:
        self.id = ""

    def learn(self, info: admin_service_pb2.GetServerInfoResponse) -> None:
        if info.mode == MEMORY:
            self.id = info.boot_id


class BootMemory:
    """The start of the server that a client talks to, asked for once and again after the server was away."""

    def __init__(self) -> None:
        self.present: Boot | None = None

    def to_ask(self) -> Boot | None:
        """The one to be filled by asking the server now, if it is to be asked."""
        if self.present is not None:
            return None
        self.present = Boot()
        return self.present

    def forget(self, boot: Boot | None = None) -> None:
        """The server was away, or did not tell: who answers next may be another start of it."""
        if boot is None or boot is self.present:
            self.present = None


def explain(job_id: str, boot: Boot | None, error: JobstreamError) -> JobstreamError:
    """The error that says so if the job is gone because another start of the server accepted it."""
    told = error.metadata.get("boot_id", "")
    if not isinstance(error, JobNotFound) or boot is None or not boot.id or not told or told == boot.id:
        return error
    message = (
        f"job {job_id} is gone: the server was started anew since it accepted the job, and keeps jobs in memory only: "
        f"submit it again ({error.message})"
    )
    return ServerRestarted(message, Facts(error.code, error.reason, None, error.violations, error.metadata))
