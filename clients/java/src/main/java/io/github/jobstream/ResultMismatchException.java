package io.github.jobstream;

/** The job has a result, but of another type; {@link Job#payload} gives it as it is. */
public final class ResultMismatchException extends JobstreamException {
    ResultMismatchException(ErrorFacts facts) {
        super(facts);
    }
}
