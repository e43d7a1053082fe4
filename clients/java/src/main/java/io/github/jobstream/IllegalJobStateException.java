package io.github.jobstream;

/**
 * The state of the job does not allow the call. Also the error of an attempt that lost its lease, with the reason
 * LEASE_LOST; see {@link JobContext#onSettled}.
 */
public final class IllegalJobStateException extends JobstreamException {
    IllegalJobStateException(ErrorDetails details) {
        super(details);
    }
}
