// Explains failed TLS handshakes by the error codes of Node.

import { truncateText } from "../data/text.js";

/** The reason of a server of TLS that refuses plain text. */
export const TLS_REQUIRED = "TLS_REQUIRED";

/** Why a handshake failed, and the way out. */
export interface TlsFailure {
  readonly reason:
    "UNKNOWN_CA" | "INVALID_CERTIFICATE" | "NOT_TLS" | typeof TLS_REQUIRED | "CLIENT_CERTIFICATE" | "TLS_FAILED";
  readonly text: string;
}

/** Largest size in bytes of the names of a certificate in a message. */
const NAMES_BYTES_MAX = 512;

/** Reasons of failures that stay until somebody changes the certificates or the address. */
const PERMANENT = ["UNKNOWN_CA", "INVALID_CERTIFICATE", "NOT_TLS", TLS_REQUIRED];

const UNKNOWN_CA = [
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
];
const INVALID = {
  CERT_HAS_EXPIRED: "has expired, or the clock of this machine is wrong: renew the certificate",
  CERT_NOT_YET_VALID: "is not valid yet: check the clocks of both machines",
  CERT_REVOKED: "is revoked: renew the certificate",
  INVALID_PURPOSE: "is not for servers: issue one for servers",
};
/** Errors of bytes that are not TLS. */
const NOT_TLS = ["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG", "ERR_SSL_HTTP_REQUEST"];
const CERTIFICATE_REQUIRED = ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"];
/** Alerts that refuse a client certificate. TLS 1.2 has no alert of its own for a missing one. */
const CERTIFICATE_REFUSED =
  /^ERR_SSL_\w*ALERT_(ACCESS_DENIED|BAD_CERTIFICATE|CERTIFICATE_EXPIRED|CERTIFICATE_UNKNOWN|DECRYPT_ERROR|UNKNOWN_CA)$/;

/** Whether a retry cannot help. */
export function isPermanentTlsFailure(reason: string): boolean {
  return PERMANENT.includes(reason);
}

/** Explains the error of a call if a failed handshake is its cause. */
export function explainTlsFailure(thrown: unknown): TlsFailure | undefined {
  const seen = new Set<unknown>();
  for (let error = thrown; error instanceof Error && !seen.has(error); error = error.cause) {
    seen.add(error);
    const failure = explain(error);
    if (failure !== undefined) {
      return failure;
    }
  }
  return undefined;
}

function explain(error: Error): TlsFailure | undefined {
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  if (typeof code !== "string") {
    return undefined;
  }
  if (UNKNOWN_CA.includes(code)) {
    const text = "its certificate is from an authority (CA) that this client does not trust";
    return { reason: "UNKNOWN_CA", text: `${text}: set ca, or JOBSTREAM_CA, to the PEM file of that CA` };
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return { reason: "INVALID_CERTIFICATE", text: `its certificate is ${otherName(error)}` };
  }
  if (code in INVALID) {
    return { reason: "INVALID_CERTIFICATE", text: `its certificate ${INVALID[code as keyof typeof INVALID]}` };
  }
  if (NOT_TLS.includes(code)) {
    return { reason: "NOT_TLS", text: "it answers in plain text: use http://, or the address of its TLS" };
  }
  if (CERTIFICATE_REQUIRED.includes(code)) {
    return { reason: "CLIENT_CERTIFICATE", text: "it requires a client certificate: set clientCertificate" };
  }
  const why = typeof reason === "string" ? reason : code;
  if (CERTIFICATE_REFUSED.test(code)) {
    const text = `it refused the client certificate: ${why}: set clientCertificate to one of a CA that it trusts`;
    return { reason: "CLIENT_CERTIFICATE", text };
  }
  return code.startsWith("ERR_SSL_")
    ? { reason: "TLS_FAILED", text: `the TLS handshake failed: ${why}: check the certificates and the address` }
    : undefined;
}

/** The host of the client and the names of the certificate. */
function otherName(error: Error): string {
  const { host, cert } = error as { host?: unknown; cert?: { subjectaltname?: unknown } };
  const listed = typeof cert?.subjectaltname === "string" ? cert.subjectaltname : "";
  const names = truncateText(listed.replace(/(DNS|IP Address|URI):/g, ""), NAMES_BYTES_MAX);
  return `not for ${String(host)}, but for ${names === "" ? "no name" : names}: use one of its names as the host`;
}
