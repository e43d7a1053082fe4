package io.github.jobstream;

/** The importance of a log line. */
public enum LogLevel {
    /** The writer gave none. */
    UNSPECIFIED,
    /** Details. */
    DEBUG,
    /** Ordinary news. */
    INFO,
    /** Something looks wrong. */
    WARN,
    /** Something is wrong. */
    ERROR
}
