package io.github.jobstream;

/**
 * The credential does not allow the call. The message names the missing grant. Also HTTP status 403 of a proxy.
 */
public final class PermissionDeniedException extends JobstreamException {
    PermissionDeniedException(ErrorDetails details) {
        super(details);
    }
}
