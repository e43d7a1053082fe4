package io.github.jobstream;

import io.grpc.Status;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The errors of HTTP responses that are not gRPC responses, such as the HTML pages of a proxy or status 431. */
final class HttpErrors {
    /**
     * The description that gRPC gives to such a response, followed by its headers and content. gRPC maps the HTTP status
     * to the code of the status as its specification requires.
     */
    private static final Pattern DESCRIPTION = Pattern.compile("HTTP status code (\\d{3})\\b");

    /** The message of gRPC for headers that it does not send, because the server would refuse them. */
    private static final Pattern HEADERS_LIMIT = Pattern.compile("Header size exceeded max allowed size \\((\\d+)\\)");

    private static final String TOO_LARGE = "431";

    private HttpErrors() {}

    /** The error of the response of a proxy, or of headers that would get one; empty for any other status. */
    static Optional<JobstreamException> of(Status status, String address, Throwable cause) {
        for (Throwable unsent = status.getCause(); unsent != null; unsent = unsent.getCause()) {
            Matcher limit = HEADERS_LIMIT.matcher(String.valueOf(unsent.getMessage()));
            if (limit.find()) {
                return Optional.of(headersTooLarge(address, "limit " + limit.group(1) + " bytes", cause));
            }
        }
        Matcher description =
                DESCRIPTION.matcher(Optional.ofNullable(status.getDescription()).orElse(""));
        if (!description.lookingAt()) {
            return Optional.empty();
        }
        if (description.group(1).equals(TOO_LARGE)) {
            return Optional.of(headersTooLarge(address, "HTTP status " + TOO_LARGE, cause));
        }
        String message = "HTTP status " + description.group(1) + " from " + address
                + ", not a gRPC response: check the address and the proxy in front of the server";
        return Optional.of(
                Errors.classify(ErrorDetails.of(status.getCode(), "", message).withCause(cause)));
    }

    /** The error of a call whose token and metadata are larger than the server or a proxy accepts. */
    private static JobstreamException headersTooLarge(String address, String why, Throwable cause) {
        String message = "the headers of the call are larger than " + address + " accepts (" + why
                + "): shorten the token or the metadata";
        return Errors.classify(ErrorDetails.of(Status.Code.UNKNOWN, "", message).withCause(cause));
    }
}
