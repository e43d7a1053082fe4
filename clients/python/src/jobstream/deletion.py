"""The tries of a delete."""

from __future__ import annotations

from .errors import JobNotFound, JobstreamError, ResultExpired, Unavailable


class Deletion:
    """Distinguishes a job that an earlier try deleted from a job that did not exist."""

    def __init__(self) -> None:
        self.is_response_lost = False

    def on_error(self, error: JobstreamError) -> None:
        """Raises the error of a try, unless it shows that an earlier try whose response was lost deleted the job."""
        if self.is_response_lost and isinstance(error, (JobNotFound, ResultExpired)):
            return
        self.is_response_lost |= isinstance(error, Unavailable) and not error.reason
        raise error
