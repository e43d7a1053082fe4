// Converts gRPC errors.

import { Code, ConnectError } from "@connectrpc/connect";

import { spanOf } from "../data/span.js";
import {
  DeadlineExceeded,
  type ErrorFacts,
  IllegalState,
  InvalidRequest,
  JobIdReused,
  JobNotFound,
  JobstreamError,
  PermissionDenied,
  ResourceExhausted,
  ResultExpired,
  type StatusCode,
  Unauthenticated,
  Unavailable,
} from "../errors.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import type { Status } from "../gen/google/rpc/status_pb.js";
import type { Connection } from "./connection.js";
import { TLS_REQUIRED, type TlsFailure, explainTlsFailure } from "./tls_errors.js";

const DOMAIN = "jobstream";

const NAMES: Record<Code, StatusCode> = {
  [Code.Canceled]: "CANCELLED",
  [Code.Unknown]: "UNKNOWN",
  [Code.InvalidArgument]: "INVALID_ARGUMENT",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.NotFound]: "NOT_FOUND",
  [Code.AlreadyExists]: "ALREADY_EXISTS",
  [Code.PermissionDenied]: "PERMISSION_DENIED",
  [Code.ResourceExhausted]: "RESOURCE_EXHAUSTED",
  [Code.FailedPrecondition]: "FAILED_PRECONDITION",
  [Code.Aborted]: "ABORTED",
  [Code.OutOfRange]: "OUT_OF_RANGE",
  [Code.Unimplemented]: "UNIMPLEMENTED",
  [Code.Internal]: "INTERNAL",
  [Code.Unavailable]: "UNAVAILABLE",
  [Code.DataLoss]: "DATA_LOSS",
  [Code.Unauthenticated]: "UNAUTHENTICATED",
};

const ERROR_BY_REASON: Record<string, typeof JobstreamError> = {
  JOB_NOT_FOUND: JobNotFound,
  RESULT_EXPIRED: ResultExpired,
  JOB_ID_REUSED: JobIdReused,
  ILLEGAL_STATE: IllegalState,
};

const ERROR_BY_CODE: Partial<Record<Code, typeof JobstreamError>> = {
  [Code.InvalidArgument]: InvalidRequest,
  [Code.FailedPrecondition]: IllegalState,
  [Code.PermissionDenied]: PermissionDenied,
  [Code.ResourceExhausted]: ResourceExhausted,
  [Code.Unauthenticated]: Unauthenticated,
  [Code.Unavailable]: Unavailable,
  [Code.DeadlineExceeded]: DeadlineExceeded,
};

const HTTP_ERROR_BY_CODE: Partial<Record<Code, typeof JobstreamError>> = {
  [Code.PermissionDenied]: PermissionDenied,
  [Code.Unauthenticated]: Unauthenticated,
  [Code.Unavailable]: Unavailable,
};

/** Without an ErrorInfo of the server these mean a broken connection, or an error of a proxy. */
const TRANSPORT_CODES = [Code.Unavailable, Code.Canceled, Code.Aborted, Code.Unknown, Code.Internal, Code.DataLoss];

/** The message of an HTTP error status. Its code is the one of the gRPC specification for the status. */
const HTTP_ERROR = /^HTTP (\d{3})$/;
/** The HTTP status of headers that are too large. */
const TOO_LARGE = "431";

/** Converts the error of a call over this connection. Other errors are returned unchanged. */
export function readError(thrown: unknown, { address, hint }: Pick<Connection, "address" | "hint">): unknown {
  if (!(thrown instanceof ConnectError)) {
    return thrown;
  }
  if (thrown.cause instanceof JobstreamError) {
    // There was no call, because there is no token.
    return thrown.cause;
  }
  const failure = explainTlsFailure(thrown.cause);
  return failure === undefined ? readConnectError(thrown, address, hint) : tlsError(address, failure, thrown);
}

function readConnectError(thrown: ConnectError, address: string, hint = ""): JobstreamError {
  const info = thrown.findDetails(ErrorInfoSchema).find(({ domain }) => domain === DOMAIN);
  if (info?.reason === TLS_REQUIRED) {
    return tlsError(address, { reason: TLS_REQUIRED, text: thrown.rawMessage }, thrown);
  }
  const httpStatus = info === undefined ? HTTP_ERROR.exec(thrown.rawMessage)?.[1] : undefined;
  if (httpStatus !== undefined) {
    return httpError(address, httpStatus, thrown);
  }
  if (info === undefined && TRANSPORT_CODES.includes(thrown.code)) {
    return unreachable(address, `${thrown.rawMessage}${hint}`, thrown);
  }
  if (info === undefined && thrown.code === Code.DeadlineExceeded) {
    return timedOut(address, thrown);
  }
  const code = NAMES[thrown.code];
  const reason = info?.reason ?? "";
  const facts: ErrorFacts = {
    code,
    reason,
    metadata: info?.metadata,
    retryAfter: retryAfter(thrown),
    violations: violations(thrown),
    cause: thrown,
  };
  const Class = ERROR_BY_REASON[reason] ?? ERROR_BY_CODE[thrown.code] ?? JobstreamError;
  return new Class(`${thrown.rawMessage} (${reason || code}, server ${address})${wayOut(thrown.code, reason)}`, facts);
}

function wayOut(code: Code, reason: string): string {
  if (code === Code.Unimplemented) {
    return ": check that it is a jobstream server and not older than this client";
  }
  return reason === "CREDENTIAL_REQUIRED" ? ": set token, or JOBSTREAM_TOKEN" : "";
}

function isCode(code: number): code is Code {
  return code in NAMES;
}

/** Converts the status of one job of a batch. */
export function readStatus({ code, message, details }: Status, address: string): JobstreamError {
  const error = new ConnectError(message, isCode(code) ? code : Code.Unknown);
  error.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.replace(/^.*\//, ""), value }));
  return readConnectError(error, address);
}

/** The error of an HTTP response without a gRPC status. A proxy sent it, or the server refuses headers above its limit. */
function httpError(address: string, status: string, cause: ConnectError): JobstreamError {
  const code = NAMES[cause.code];
  const Class = HTTP_ERROR_BY_CODE[cause.code] ?? JobstreamError;
  const message =
    status === TOO_LARGE
      ? `the headers of the call are larger than ${address} accepts (HTTP status ${status}): shorten the token or the metadata`
      : `HTTP status ${status} (${code}) from ${address}: check the address and the proxies before the server`;
  return new Class(message, { code, cause });
}

/** The error of a failed TLS handshake, or of plain text to a port of TLS. */
function tlsError(address: string, { reason, text }: TlsFailure, cause: ConnectError): JobstreamError {
  const message = `cannot use the server at ${address}: ${text}`;
  return reason === "CLIENT_CERTIFICATE"
    ? new Unauthenticated(message, { code: "UNAUTHENTICATED", reason, cause })
    : new Unavailable(message, { code: "UNAVAILABLE", reason, cause });
}

/** The error of an unreachable server or a broken connection. */
export function unreachable(address: string, why: string, cause?: unknown): Unavailable {
  const message = `no response from the server at ${address}: ${why}: check the address and that the server runs`;
  return new Unavailable(message, { code: "UNAVAILABLE", cause });
}

/** The error of a call without a response in time. */
export function timedOut(address: string, cause?: unknown): DeadlineExceeded {
  const message = `the server at ${address} did not respond in time: increase callTimeout or try again later`;
  return new DeadlineExceeded(message, { code: "DEADLINE_EXCEEDED", cause });
}

/** The delay in milliseconds that the server requests before a retry. */
function retryAfter(error: ConnectError): number | undefined {
  const info = error.findDetails(RetryInfoSchema)[0];
  return info && spanOf(info.retryDelay);
}

function violations(error: ConnectError) {
  const listed = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return listed.map(({ field, description }) => ({ field, description }));
}
