package io.github.jobstream;

/**
 * The server is unavailable or unreachable. If TLS is the cause, {@link #reason} is {@code UNKNOWN_CA}, {@code
 * INVALID_CERTIFICATE}, {@code NOT_TLS}, {@code TLS_REQUIRED} or {@code TLS_FAILED}; only the last one is retried. {@code
 * TOKEN_UNAVAILABLE} is the reason if the supplier of the token failed.
 */
public final class UnavailableException extends JobstreamException {
    UnavailableException(ErrorDetails details) {
        super(details);
    }
}
