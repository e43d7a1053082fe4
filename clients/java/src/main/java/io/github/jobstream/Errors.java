package io.github.jobstream;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Converts gRPC errors to exceptions. */
final class Errors {
    static final String JOB_NOT_FOUND = "JOB_NOT_FOUND";
    static final String TOKEN_UNAVAILABLE = "TOKEN_UNAVAILABLE";
    private static final String DOMAIN = "jobstream";

    private Errors() {}

    /** Converts the error of a call to the server at this address. */
    static JobstreamException of(Throwable thrown, String address) {
        if (thrown instanceof JobstreamException known) {
            return known;
        }
        Status status = Status.fromThrowable(thrown);
        if (status.getCause() instanceof JobstreamException unusable) {
            // There was no call, because there is no token.
            return unusable;
        }
        com.google.rpc.Status details = StatusProto.fromThrowable(thrown);
        ErrorInfo info = find(details, ErrorInfo.class)
                .filter(found -> found.getDomain().equals(DOMAIN))
                .orElse(null);
        if (info != null && info.getReason().equals(TlsErrors.TLS_REQUIRED)) {
            return TlsErrors.required(status, address, thrown);
        }
        if (info != null) {
            return serverError(status, details, info, address);
        }
        return TlsErrors.of(status, address, thrown)
                .or(() -> HttpErrors.of(status, address, thrown))
                .orElseGet(() -> transportError(status, address, thrown));
    }

    /** The error of an unreachable server or a broken connection. */
    static UnavailableException unreachable(String address, String why, Throwable cause) {
        String message = "no response from the server at " + address + ": " + why
                + ": check the address and that the server runs";
        return new UnavailableException(
                ErrorDetails.of(Status.Code.UNAVAILABLE, "", message).withCause(cause));
    }

    static DeadlineExceededException timedOut(String address, Throwable cause) {
        String message =
                "the server at " + address + " did not respond in time: increase callTimeout or try again later";
        return new DeadlineExceededException(
                ErrorDetails.of(Status.Code.DEADLINE_EXCEEDED, "", message).withCause(cause));
    }

    /** Whether a retry may succeed. */
    static boolean isTransient(JobstreamException error) {
        return (error instanceof UnavailableException && !TlsErrors.isPermanent(error))
                || (error instanceof ResourceExhaustedException
                        && error.retryAfter().isPresent());
    }

    /** Whether the call was refused for its token. */
    static boolean isRefusedToken(JobstreamException error) {
        return error instanceof UnauthenticatedException && !TlsErrors.isOfClientCertificate(error);
    }

    /** Whether there was no response of the server, which may have executed the call. */
    static boolean isUnreachable(JobstreamException error) {
        return error instanceof UnavailableException && error.reason().isEmpty();
    }

    /** The same error with the retry limit that was reached in its message. */
    static JobstreamException retriesExhausted(JobstreamException error, String limit) {
        ErrorDetails details = error.details()
                .withMessage(error.getMessage() + "; gave up after " + limit)
                .withCause(error);
        return classify(details);
    }

    /** The exception for a code and a reason. */
    static JobstreamException classify(ErrorDetails details) {
        return switch (details.reason()) {
            case JOB_NOT_FOUND -> new JobNotFoundException(details);
            case "RESULT_EXPIRED" -> new ResultExpiredException(details);
            case "JOB_ID_REUSED" -> new JobIdReusedException(details);
            default ->
                switch (details.code()) {
                    case INVALID_ARGUMENT, OUT_OF_RANGE -> new InvalidRequestException(details);
                    case FAILED_PRECONDITION, ABORTED -> new IllegalJobStateException(details);
                    case UNAUTHENTICATED -> new UnauthenticatedException(details);
                    case PERMISSION_DENIED -> new PermissionDeniedException(details);
                    case RESOURCE_EXHAUSTED -> new ResourceExhaustedException(details);
                    case UNAVAILABLE, CANCELLED -> new UnavailableException(details);
                    case DEADLINE_EXCEEDED -> new DeadlineExceededException(details);
                    default -> new JobstreamException(details);
                };
        };
    }

    /** The delay that the server requests before a retry; null if none. */
    static Duration retryAfter(com.google.rpc.Status details) {
        return find(details, RetryInfo.class)
                .filter(RetryInfo::hasRetryDelay)
                .map(info -> Wire.duration(info.getRetryDelay()))
                .orElse(null);
    }

    private static JobstreamException serverError(
            Status status, com.google.rpc.Status details, ErrorInfo info, String address) {
        String description = status.getDescription() == null ? "no reason given" : status.getDescription();
        String wayOut = info.getReason().equals("CREDENTIAL_REQUIRED") ? ": set token, or JOBSTREAM_TOKEN" : "";
        List<Violation> violations =
                find(details, BadRequest.class).map(BadRequest::getFieldViolationsList).orElse(List.of()).stream()
                        .map(violation -> new Violation(violation.getField(), violation.getDescription()))
                        .toList();
        return classify(new ErrorDetails(
                status.getCode(),
                info.getReason(),
                description + " (" + info.getReason() + ", server " + address + ")" + wayOut,
                retryAfter(details),
                violations,
                info.getMetadataMap(),
                status.getCause()));
    }

    /** A gRPC status without an ErrorInfo of the server: the connection broke, or a proxy responded. */
    private static JobstreamException transportError(Status status, String address, Throwable thrown) {
        String description = innermost(status);
        return switch (status.getCode()) {
            case UNAVAILABLE, CANCELLED, ABORTED, UNKNOWN, INTERNAL, DATA_LOSS ->
                unreachable(address, description + TlsErrors.hint(status), thrown);
            case DEADLINE_EXCEEDED -> timedOut(address, thrown);
            case UNIMPLEMENTED ->
                classify(new ErrorDetails(
                        status.getCode(),
                        "",
                        description + " (server " + address
                                + "): check that it is a jobstream server and not older than this client",
                        null,
                        List.of(),
                        Map.of(),
                        thrown));
            default ->
                classify(ErrorDetails.of(status.getCode(), "", description + " (server " + address + ")")
                        .withCause(thrown));
        };
    }

    /** The description of the status and its innermost cause: {@code io exception: Connection refused}. */
    private static String innermost(Status status) {
        String description = status.getDescription() == null ? status.getCode().name() : status.getDescription();
        Throwable cause = status.getCause();
        while (cause != null && cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause == null || cause.getMessage() == null ? description : description + ": " + cause.getMessage();
    }

    private static <M extends Message> Optional<M> find(com.google.rpc.Status details, Class<M> type) {
        if (details == null) {
            return Optional.empty();
        }
        for (Any detail : details.getDetailsList()) {
            if (detail.is(type)) {
                try {
                    return Optional.of(detail.unpack(type));
                } catch (InvalidProtocolBufferException unreadable) {
                    // The status without this detail is still usable.
                    return Optional.empty();
                }
            }
        }
        return Optional.empty();
    }
}
