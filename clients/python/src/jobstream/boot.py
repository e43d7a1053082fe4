"""Distinguishes a job that a server restart lost from a job that never existed.

A client remembers the boot id of the server that accepted a job and compares it with the boot id in a JobNotFound.
"""

from __future__ import annotations

import grpc
import grpc.aio

from .errors import ErrorDetails, JobNotFound, JobstreamError, ServerRestarted
from .v1 import admin_service_pb2

MEMORY = "memory"
"""The server mode without a log: a restart loses every job."""


class Boot:
    """The boot id of one run of the server process. `id` is empty until the server has returned it."""

    def __init__(self) -> None:
        self.id = ""

    def set_from(self, info: admin_service_pb2.GetServerInfoResponse) -> None:
        if info.mode == MEMORY:
            self.id = info.boot_id


class BootCache:
    """The current boot id. It is looked up once, and again after the server was unavailable."""

    def __init__(self) -> None:
        self.current: Boot | None = None

    def start_lookup(self) -> Boot | None:
        """Starts a lookup and returns the Boot to fill in. Returns None if a lookup was started before."""
        if self.current is not None:
            return None
        self.current = Boot()
        return self.current

    def invalidate(self, boot: Boot | None = None) -> None:
        """Drops the cached boot id: the server may have restarted. With `boot`, only if that is the cached one."""
        if boot is None or boot is self.current:
            self.current = None

    def failed(self, boot: Boot, error: BaseException) -> None:
        """Drops the boot of a failed lookup. Without the permission for the lookup, it is retained without an id: no
        call looks it up again."""
        if not (isinstance(error, (grpc.Call, grpc.aio.AioRpcError)) and error.code() in REFUSALS):
            self.invalidate(boot)


REFUSALS = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


def detect_restart(job_id: str, boot: Boot | None, error: JobstreamError) -> JobstreamError:
    """Converts JobNotFound into ServerRestarted if another run of the server had accepted the job."""
    received_boot_id = error.metadata.get("boot_id", "")
    if (
        not isinstance(error, JobNotFound)
        or boot is None
        or not boot.id
        or not received_boot_id
        or received_boot_id == boot.id
    ):
        return error
    message = (
        f"job {job_id} is lost: the server restarted after it accepted the job and holds jobs in memory only: "
        f"submit it again ({error.message})"
    )
    return ServerRestarted(message, ErrorDetails(error.code, error.reason, None, error.violations, error.metadata))
