package io.github.jobstream;

/** The level of a log line. */
public enum LogLevel {
    /** The level is not specified. */
    UNSPECIFIED,
    /** Details. */
    DEBUG,
    /** Normal operation. */
    INFO,
    /** A possible problem. */
    WARN,
    /** An error. */
    ERROR
}
