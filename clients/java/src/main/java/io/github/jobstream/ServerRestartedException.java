package io.github.jobstream;

/** A restart of the server lost the job (memory mode): submit it again. */
public final class ServerRestartedException extends JobNotFoundException {
    ServerRestartedException(ErrorDetails details) {
        super(details);
    }
}
