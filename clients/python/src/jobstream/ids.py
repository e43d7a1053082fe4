"""Job ids."""

from __future__ import annotations

import re
import uuid

from .errors import InvalidRequest

UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE)


def new_job_id() -> str:
    return str(uuid.uuid4())


def checked_job_id(id: str) -> str:
    """Returns the id. Raises InvalidRequest unless it is a UUID."""
    if not UUID.fullmatch(id):
        raise InvalidRequest(
            f"{id!r} is not a job id: it must be a UUID; derive one from a name with "
            f"str(uuid.uuid5(uuid.NAMESPACE_URL, name)), a UUIDv5"
        )
    return id
