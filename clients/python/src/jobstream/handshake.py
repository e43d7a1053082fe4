"""Explains a failed TLS handshake by the text of gRPC's error, which has no other details."""

from __future__ import annotations

import re

import grpc

from .errors import ErrorDetails, JobstreamError, Unauthenticated, Unavailable

UNKNOWN_CA = "UNKNOWN_CA"
INVALID_CERTIFICATE = "INVALID_CERTIFICATE"
CLIENT_CERTIFICATE = "CLIENT_CERTIFICATE"
NOT_TLS = "NOT_TLS"
TLS_FAILED = "TLS_FAILED"
TLS_REQUIRED = "TLS_REQUIRED"
"""The reason that a server of TLS sends in answer to plain text."""

CAUSES: list[tuple[str, str, str]] = [
    (
        r"CERTIFICATE_VERIFY_FAILED.*expired",
        INVALID_CERTIFICATE,
        "its certificate has expired, or the clock of this machine is wrong: renew the certificate",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED.*not yet valid",
        INVALID_CERTIFICATE,
        "its certificate is not valid yet: check the clocks of both machines",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        UNKNOWN_CA,
        (
            "its certificate is from an authority (CA) that this client does not trust: set the option ca, or "
            "JOBSTREAM_CA, to the PEM file of the right one"
        ),
    ),
    (
        r"Hostname Verification Check failed|not in peer certificate",
        INVALID_CERTIFICATE,
        (
            "its certificate is not for {host}: use a name of the certificate, or issue one for {host}. "
            "`openssl s_client -connect {target} | openssl x509 -noout -ext subjectAltName` prints the names"
        ),
    ),
    (
        r"WRONG_VERSION_NUMBER",
        NOT_TLS,
        "it answers in plain text: use http://, or the address of its TLS",
    ),
    (
        # TLS 1.3 refuses a client certificate after the handshake: gRPC then cannot decrypt the alert's record.
        r"ALERT_\w*CERTIFICATE|ALERT_UNKNOWN_CA|CERTIFICATE_REQUIRED|Unwrap failed",
        CLIENT_CERTIFICATE,
        (
            "it requires a client certificate, or refuses that of this client: set the options client_certificate and "
            "client_key to a pair of an authority that the server trusts"
        ),
    ),
    (
        r"Failed to create security handshaker",
        TLS_FAILED,
        "the client certificate and the client key do not belong together, or a PEM file is damaged",
    ),
    (r"handshake failed", TLS_FAILED, "the TLS handshake failed: {cause}"),
]
"""Patterns in gRPC's text, the reason of the error and its explanation. The first match counts."""

CONNECTION_CLOSED = re.compile(r"failed to connect.*(Socket closed|Connection reset)", re.DOTALL)
"""gRPC's text when a server closes a connection before it has sent anything, as a TLS server does after plain text."""


def explain(address: str, cause: str) -> JobstreamError | None:
    """The error of a failed handshake with the server at this address; None if the cause is another one."""
    if not address.startswith("https://"):
        return None
    target = address.removeprefix("https://")
    for pattern, reason, explanation in CAUSES:
        if re.search(pattern, cause, re.DOTALL):
            why = explanation.format(host=target.rpartition(":")[0], target=target, cause=cause)
            return unusable(address, reason, why)
    return None


def unusable(address: str, reason: str, why: str) -> JobstreamError:
    """The error of a server that no call can use, because of TLS."""
    kind = Unauthenticated if reason == CLIENT_CERTIFICATE else Unavailable
    code = grpc.StatusCode.UNAUTHENTICATED if kind is Unauthenticated else grpc.StatusCode.UNAVAILABLE
    return kind(f"cannot use the server at {address}: {why}", ErrorDetails(code.name, reason))


def with_hint(address: str, cause: str) -> str:
    """The cause, with a hint if a server of TLS may have closed the connection of a client of plain text."""
    if address.startswith("http://") and CONNECTION_CLOSED.search(cause):
        return f"{cause} (if it serves TLS, its address begins with https://)"
    return cause
