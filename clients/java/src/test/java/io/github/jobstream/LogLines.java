package io.github.jobstream;

import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** Collects what the client logs until it is closed. */
final class LogLines extends Handler implements AutoCloseable {
    /** Loggers are weakly referenced by their manager. */
    private static final Logger LOGGER = Logger.getLogger("io.github.jobstream");

    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();

    private LogLines() {
        LOGGER.setLevel(Level.INFO);
        LOGGER.addHandler(this);
    }

    static LogLines collect() {
        return new LogLines();
    }

    /** Waits for a line that contains this text and drops the lines before it. */
    String await(String text) throws InterruptedException {
        String line = lines.take();
        while (!line.contains(text)) {
            line = lines.take();
        }
        return line;
    }

    List<String> all() {
        return List.copyOf(lines);
    }

    @Override
    public void publish(LogRecord line) {
        String thrown = line.getThrown() == null ? "" : " with " + line.getThrown();
        lines.add(line.getLevel() + " " + line.getMessage() + thrown);
    }

    @Override
    public void flush() {}

    @Override
    public void close() {
        LOGGER.removeHandler(this);
        LOGGER.setLevel(null);
    }
}
