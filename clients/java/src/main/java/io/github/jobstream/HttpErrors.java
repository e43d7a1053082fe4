package io.github.jobstream;

import io.grpc.Status;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The errors of HTTP responses that are not gRPC responses, such as the HTML pages of a proxy. */
final class HttpErrors {
    /**
     * The description that gRPC gives to such a response, followed by its headers and content. gRPC maps the HTTP status
     * to the code of the status as its specification requires.
     */
    private static final Pattern DESCRIPTION = Pattern.compile("HTTP status code (\\d{3})\\b");

    private HttpErrors() {}

    /** The error of the response of a proxy; empty for any other status. */
    static Optional<JobstreamException> of(Status status, String address, Throwable cause) {
        Matcher description =
                DESCRIPTION.matcher(Optional.ofNullable(status.getDescription()).orElse(""));
        if (!description.lookingAt()) {
            return Optional.empty();
        }
        String message = "HTTP status " + description.group(1) + " from " + address
                + ", not a gRPC response: check the address and the proxy in front of the server";
        return Optional.of(
                Errors.classify(ErrorDetails.of(status.getCode(), "", message).withCause(cause)));
    }
}
