package io.github.jobstream;

/** No job has this id. */
public class JobNotFoundException extends JobstreamException {
    JobNotFoundException(ErrorDetails details) {
        super(details);
    }
}
