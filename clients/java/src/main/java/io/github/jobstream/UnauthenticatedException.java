package io.github.jobstream;

/**
 * The credential is missing, invalid or expired: {@link #reason} is {@code CREDENTIAL_REQUIRED}, {@code
 * CREDENTIAL_INVALID} or {@code CREDENTIAL_EXPIRED}; or {@code CLIENT_CERTIFICATE}, if the server requires or refuses a
 * client certificate. Also HTTP status 401 of a proxy.
 */
public final class UnauthenticatedException extends JobstreamException {
    UnauthenticatedException(ErrorDetails details) {
        super(details);
    }
}
