package io.github.jobstream;

import io.github.jobstream.v1.AttemptComplete;
import io.github.jobstream.v1.AttemptFail;
import io.github.jobstream.v1.AttemptRelease;
import io.github.jobstream.v1.AttemptReport;
import io.github.jobstream.v1.AttemptStopped;
import io.github.jobstream.v1.Failure;
import io.github.jobstream.v1.FailureReason;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.regex.Pattern;

/** The final report of an attempt: complete, fail, stopped or release. */
final class FinalReports {
    private static final int TYPE_BYTES_MAX = 256;
    private static final int MESSAGE_BYTES_MAX = 4 << 10;
    private static final int DETAILS_BYTES_MAX = 16 << 10;
    private static final Pattern LINE_BREAKS = Pattern.compile("\\R\\s*");

    private FinalReports() {}

    /** The input cannot be decoded as the input type of the handler. */
    static final class BadInput extends Exception {
        private final String summary;

        /** The message may quote the input, the summary for logs must not. */
        BadInput(String message, String summary) {
            super(message);
            this.summary = summary;
        }
    }

    /** The type and the message of a throwable for a line of the log. */
    static String logFields(Throwable thrown) {
        String message = thrown instanceof BadInput bad ? bad.summary : messageOf(thrown);
        return "error_type=" + errorType(thrown) + " error=" + quoted(message);
    }

    /** BAD_PAYLOAD, or the class of the throwable. */
    static String errorType(Throwable thrown) {
        return thrown instanceof BadInput
                ? "BAD_PAYLOAD"
                : named(thrown).getClass().getName();
    }

    private static String quoted(String text) {
        String line = LINE_BREAKS.matcher(truncate(text, MESSAGE_BYTES_MAX)).replaceAll(" ");
        return '"' + line.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    static AttemptReport.Builder complete(Payload result, int bytesMax) {
        int size = result.size();
        if (size > bytesMax) {
            return fail(Failure.newBuilder()
                    .setReason(FailureReason.FAILURE_REASON_RESULT_TOO_LARGE)
                    .setMessage(SizeLimit.message("result", size, bytesMax)));
        }
        return AttemptReport.newBuilder()
                .setComplete(AttemptComplete.newBuilder().setResult(result.message()));
    }

    static AttemptReport.Builder stopped() {
        return AttemptReport.newBuilder().setStopped(AttemptStopped.getDefaultInstance());
    }

    static AttemptReport.Builder release(Duration delay) {
        return AttemptReport.newBuilder().setRelease(AttemptRelease.newBuilder().setDelay(Wire.duration(delay)));
    }

    static AttemptReport.Builder unknownKind(String kind) {
        return fail(Failure.newBuilder()
                .setReason(FailureReason.FAILURE_REASON_UNKNOWN_KIND)
                .setMessage("this worker has no handler for kind \"" + kind + "\""));
    }

    /** The failure report for a throwable of a handler. */
    static AttemptReport.Builder failed(Throwable thrown) {
        if (thrown instanceof BadInput) {
            return fail(Failure.newBuilder()
                    .setReason(FailureReason.FAILURE_REASON_BAD_PAYLOAD)
                    .setMessage(truncate(thrown.getMessage(), MESSAGE_BYTES_MAX)));
        }
        boolean isPermanent = thrown instanceof PermanentException;
        AttemptReport.Builder report = fail(Failure.newBuilder()
                .setReason(
                        thrown instanceof Error
                                ? FailureReason.FAILURE_REASON_PANIC
                                : FailureReason.FAILURE_REASON_HANDLER)
                .setType(truncate(named(thrown).getClass().getName(), TYPE_BYTES_MAX))
                .setMessage(truncate(messageOf(thrown), MESSAGE_BYTES_MAX))
                .setDetails(
                        Payload.text(truncate(stack(thrown), DETAILS_BYTES_MAX)).message())
                .setRetryable(!isPermanent));
        if (thrown instanceof RetryLaterException later) {
            report.getFailBuilder().setRetryAfter(Wire.duration(later.after()));
        }
        return report;
    }

    /** The cause of a PermanentException, if it has one. */
    private static Throwable named(Throwable thrown) {
        return thrown instanceof PermanentException && thrown.getCause() != null ? thrown.getCause() : thrown;
    }

    static String messageOf(Throwable thrown) {
        return thrown.getMessage() == null ? thrown.toString() : thrown.getMessage();
    }

    private static AttemptReport.Builder fail(Failure.Builder failure) {
        return AttemptReport.newBuilder().setFail(AttemptFail.newBuilder().setFailure(failure));
    }

    private static String stack(Throwable thrown) {
        StringWriter written = new StringWriter();
        thrown.printStackTrace(new PrintWriter(written));
        return written.toString();
    }

    /** Truncates a text to this many bytes of UTF-8. An unpaired surrogate becomes a question mark. */
    static String truncate(String text, int bytesMax) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (bytes.length <= bytesMax) {
            return new String(bytes, StandardCharsets.UTF_8);
        }
        var decoder = StandardCharsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.IGNORE);
        try {
            return decoder.decode(ByteBuffer.wrap(bytes, 0, bytesMax)).toString();
        } catch (CharacterCodingException impossible) {
            throw new AssertionError("malformed input is ignored", impossible);
        }
    }
}
