package io.github.jobstream;

/**
 * The job was accepted by a server that lost it in a restart, as one in memory mode does: submit it again.
 */
public final class ServerRestartedException extends JobNotFoundException {
    ServerRestartedException(ErrorFacts facts) {
        super(facts);
    }
}
