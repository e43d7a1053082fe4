package io.github.jobstream;

/** The name and version that this library sends. */
final class Version {
    static final String NUMBER = "0.1.0";
    static final String SDK = "java/" + NUMBER;
    static final String USER_AGENT = "jobstream-java/" + NUMBER;

    private Version() {}
}
