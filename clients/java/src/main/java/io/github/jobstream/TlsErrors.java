package io.github.jobstream;

import io.grpc.Status;
import java.security.cert.CertPathBuilderException;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertPathValidatorException.BasicReason;
import java.security.cert.CertificateException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.PKIXReason;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Explains failed TLS handshakes. */
final class TlsErrors {
    private static final String UNKNOWN_CA = "UNKNOWN_CA";
    private static final String INVALID_CERTIFICATE = "INVALID_CERTIFICATE";
    private static final String NOT_TLS = "NOT_TLS";
    private static final String CLIENT_CERTIFICATE = "CLIENT_CERTIFICATE";
    /** The answer of a server of TLS to plain text. */
    static final String TLS_REQUIRED = "TLS_REQUIRED";
    /** Reasons that stay until somebody changes the certificates or the address. */
    private static final Set<String> PERMANENT = Set.of(UNKNOWN_CA, INVALID_CERTIFICATE, NOT_TLS, TLS_REQUIRED);

    /** Another authority of the same name gives a bad signature. */
    private static final Set<CertPathValidatorException.Reason> UNTRUSTED =
            Set.of(PKIXReason.NO_TRUST_ANCHOR, BasicReason.INVALID_SIGNATURE);

    /** An alert, as OpenSSL and Java name it. */
    private static final Pattern ALERT = Pattern.compile("alert[_: ]+([a-z_ ]+)");
    /** Alerts that refuse a client certificate. */
    private static final Set<String> REFUSALS = Set.of(
            "access_denied",
            "bad_certificate",
            "certificate_expired",
            "certificate_unknown",
            "decrypt_error",
            "unknown_ca");
    /** The names of a certificate in the message for another host. */
    private static final Pattern NAMES = Pattern.compile("subjectAlternativeNames=\\[([^]]*)]");

    private static final Pattern WANTED = Pattern.compile("matching (?:IP address )?(\\S+) found");
    /** First byte of a TLS record with an alert, and its version, as gRPC prints what it received instead of HTTP/2. */
    private static final Pattern TLS_RECORD = Pattern.compile("first 5 bytes: 1503");

    private TlsErrors() {}

    /** Whether the error is about certificates or the address, so that a retry cannot help. */
    static boolean isPermanent(JobstreamException error) {
        return PERMANENT.contains(error.reason());
    }

    /** Whether the server requires or refuses a client certificate. */
    static boolean isOfClientCertificate(JobstreamException error) {
        return error.reason().equals(CLIENT_CERTIFICATE);
    }

    /** The error of a call whose connection failed in the TLS handshake; empty for any other. */
    static Optional<JobstreamException> of(Status status, String address, Throwable thrown) {
        for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
            ErrorDetails failure = explain(cause);
            if (failure != null) {
                return Optional.of(unusable(failure, address, thrown));
            }
        }
        return Optional.empty();
    }

    /** The error of a server that refuses plain text. */
    static JobstreamException required(Status status, String address, Throwable thrown) {
        return unusable(unavailable(TLS_REQUIRED, status.getDescription()), address, thrown);
    }

    private static JobstreamException unusable(ErrorDetails failure, String address, Throwable thrown) {
        String message = "cannot use the server at " + address + ": " + failure.message();
        return Errors.classify(failure.withMessage(message).withCause(thrown));
    }

    /** A hint for a server that answered plain text with TLS; else empty. */
    static String hint(Status status) {
        boolean isTls = status.getCause() != null
                && TLS_RECORD
                        .matcher(String.valueOf(status.getCause().getMessage()))
                        .find();
        return isTls ? " (it serves TLS: use an address that begins with https://)" : "";
    }

    private static ErrorDetails explain(Throwable cause) {
        String message = String.valueOf(cause.getMessage());
        if (cause instanceof CertPathBuilderException
                || (cause instanceof CertPathValidatorException path && UNTRUSTED.contains(path.getReason()))) {
            return unavailable(
                    UNKNOWN_CA,
                    "its certificate is from an authority (CA) that this client does not trust: set ca, or JOBSTREAM_CA,"
                            + " to the PEM file of that CA");
        }
        if (cause instanceof CertificateExpiredException) {
            return unavailable(
                    INVALID_CERTIFICATE,
                    "its certificate has expired, or the clock of this machine is wrong: renew the certificate");
        }
        if (cause instanceof CertificateNotYetValidException) {
            return unavailable(
                    INVALID_CERTIFICATE, "its certificate is not valid yet: check the clocks of both machines");
        }
        if (cause instanceof CertificateException && message.matches("(?s)No (subject alternative|name).*")) {
            return unavailable(INVALID_CERTIFICATE, "its certificate is " + otherName(message));
        }
        if (cause.getClass().getSimpleName().equals("NotSslRecordException")
                || message.startsWith("Unsupported or unrecognized SSL message")) {
            return unavailable(NOT_TLS, "it answers in plain text: use http://, or the address of its TLS");
        }
        return alert(message.toLowerCase(Locale.ROOT));
    }

    /** What an alert of the server means; null if there is none. */
    private static ErrorDetails alert(String message) {
        Matcher alert = ALERT.matcher(message);
        if (!alert.find()) {
            return null;
        }
        String name = alert.group(1).strip().replace(' ', '_');
        if (name.equals("certificate_required")) {
            return unauthenticated("it requires a client certificate of a CA that it trusts: set clientCertificate");
        }
        if (REFUSALS.contains(name)) {
            return unauthenticated("it refused the client certificate: " + name
                    + ": set clientCertificate to one of a CA that it trusts");
        }
        return unavailable(
                "TLS_FAILED",
                "the TLS handshake failed: the server sent the alert " + name
                        + ": check the certificates and the address");
    }

    private static String otherName(String message) {
        Matcher wanted = WANTED.matcher(message);
        Matcher names = NAMES.matcher(message);
        String host = wanted.find() ? wanted.group(1) : "that host";
        String listed = names.find() ? names.group(1).replaceAll("(DNS|IP):", "") : "other names";
        return "not for " + host + ", but for " + listed + ": use one of its names as the host";
    }

    private static ErrorDetails unavailable(String reason, String message) {
        return ErrorDetails.of(Status.Code.UNAVAILABLE, reason, message);
    }

    private static ErrorDetails unauthenticated(String message) {
        return ErrorDetails.of(Status.Code.UNAUTHENTICATED, CLIENT_CERTIFICATE, message);
    }
}
