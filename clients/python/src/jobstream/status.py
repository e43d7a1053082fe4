"""Converts a gRPC status into an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Union

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from . import handshake
from .errors import (
    DeadlineExceeded,
    ErrorDetails,
    IllegalState,
    InvalidRequest,
    JobIdReused,
    JobNotFound,
    JobstreamError,
    PermissionDenied,
    ResourceExhausted,
    ResultExpired,
    Unauthenticated,
    Unavailable,
    Violation,
    timed_out,
    unavailable,
)

DOMAIN = "jobstream"
"""The ErrorInfo domain of this API. Other domains come from proxies between client and server."""
STATUS_DETAILS = "grpc-status-details-bin"

Metadata = Iterable[tuple[str, Union[str, bytes]]]

ERROR_BY_REASON: dict[str, type[JobstreamError]] = {
    "JOB_NOT_FOUND": JobNotFound,
    "RESULT_EXPIRED": ResultExpired,
    "JOB_ID_REUSED": JobIdReused,
    "PAYLOAD_TOO_LARGE": InvalidRequest,
    "ILLEGAL_STATE": IllegalState,
}
ERROR_BY_CODE: dict[grpc.StatusCode, type[JobstreamError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
}
CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
HTTP_STATUS = re.compile(r"^Received http2 header with status: (\d{3})$")
"""The message of gRPC for an HTTP response without a gRPC status. It comes from a proxy between client and server."""
CODE_BY_HTTP_STATUS: dict[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INTERNAL,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    429: grpc.StatusCode.UNAVAILABLE,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.UNAVAILABLE,
}
"""The mapping of the gRPC specification. Any other status is UNKNOWN."""
HEADERS_TOO_LARGE = 431
TRANSPORT_CODES = {
    grpc.StatusCode[name] for name in ("UNKNOWN", "INTERNAL", "ABORTED", "DATA_LOSS", "UNAVAILABLE", "CANCELLED")
}
"""Status codes of a broken connection, or of a proxy between client and server."""


def from_call(call: grpc.Call | grpc.aio.AioRpcError, address: str) -> JobstreamError:
    """Converts the error of a failed call."""
    trailers: Any = call.trailing_metadata() or ()
    return from_status(call.code(), call.details() or "", trailers, address)


def from_status(code: grpc.StatusCode, message: str, trailers: Metadata, address: str) -> JobstreamError:
    """Converts a status returned by the server at this address."""
    return convert(code, message, details_of(trailers), address)


def from_rpc_status(status: status_pb2.Status, address: str) -> JobstreamError:
    """Converts the error of one job of a batch, or of a refused report."""
    return convert(CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, status.details, address)


def convert(code: grpc.StatusCode, message: str, packed_details: Iterable[AnyMessage], address: str) -> JobstreamError:
    details = read_details(code, packed_details)
    if details.reason == handshake.TLS_REQUIRED:
        return handshake.unusable(address, details.reason, message)
    if not details.reason and (found := HTTP_STATUS.search(message)):
        return http_error(int(found[1]), address)
    if not details.reason and code in TRANSPORT_CODES:
        return handshake.explain(address, message) or unavailable(address, handshake.with_hint(address, message))
    if not details.reason and code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return timed_out(address)
    error_type = ERROR_BY_REASON.get(details.reason) or ERROR_BY_CODE.get(code, JobstreamError)
    context = ", ".join(part for part in (details.reason, f"server {address}") if part)
    hint = (
        ": check that it is a jobstream server and not older than this client"
        if code == grpc.StatusCode.UNIMPLEMENTED
        else ""
    )
    return error_type(f"{message or 'no reason given'} ({context}){hint}", details)


def read_details(code: grpc.StatusCode, packed_details: Iterable[AnyMessage]) -> ErrorDetails:
    """Decodes the details of a status."""
    reason, retry_after = "", None
    violations: list[Violation] = []
    metadata: dict[str, str] = {}
    for detail in packed_details:
        if detail.TypeName() == "google.rpc.ErrorInfo":
            info = error_details_pb2.ErrorInfo.FromString(detail.value)
            if info.domain == DOMAIN:
                reason, metadata = info.reason, dict(info.metadata)
        elif detail.TypeName() == "google.rpc.RetryInfo":
            delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            retry_after = delay.seconds + delay.nanos / 1e9
        elif detail.TypeName() == "google.rpc.BadRequest":
            listed = error_details_pb2.BadRequest.FromString(detail.value).field_violations
            violations += [Violation(violation.field, violation.description) for violation in listed]
    return ErrorDetails(code.name, reason, retry_after, violations, metadata)


def details_of(trailers: Metadata) -> Sequence[AnyMessage]:
    for key, value in trailers:
        if key == STATUS_DETAILS and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value).details
            except DecodeError:
                return ()
    return ()


def http_error(status: int, address: str) -> JobstreamError:
    """The error of an HTTP response without a gRPC status."""
    code = CODE_BY_HTTP_STATUS.get(status, grpc.StatusCode.UNKNOWN)
    error_type = ERROR_BY_CODE.get(code, JobstreamError)
    message = f"{address} responded with HTTP status {status}, not with gRPC: check the address and its proxy"
    if status == HEADERS_TOO_LARGE:
        message = (
            f"the headers of the call are larger than {address} accepts (HTTP status {status}): "
            "shorten the token or the metadata"
        )
    return error_type(message, ErrorDetails(code=code.name))
