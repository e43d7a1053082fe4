package io.github.jobstream;

/** The id belongs to a job with another spec. */
public final class JobIdReusedException extends JobstreamException {
    JobIdReusedException(ErrorDetails details) {
        super(details);
    }
}
