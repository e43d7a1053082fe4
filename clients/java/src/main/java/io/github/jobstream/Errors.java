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

/** What a gRPC status means to a caller: who says it, and what to do about it. */
final class Errors {
    static final String JOB_NOT_FOUND = "JOB_NOT_FOUND";
    private static final String DOMAIN = "jobstream";

    private Errors() {}

    /** The error that a call to the server at this address ended with. */
    static JobstreamException of(Throwable thrown, String address) {
        if (thrown instanceof JobstreamException known) {
            return known;
        }
        Status status = Status.fromThrowable(thrown);
        com.google.rpc.Status details = StatusProto.fromThrowable(thrown);
        ErrorInfo info = find(details, ErrorInfo.class)
                .filter(found -> found.getDomain().equals(DOMAIN))
                .orElse(null);
        return info == null ? foreign(status, address, thrown) : told(status, details, info, address);
    }

    /** Nobody answers, or the connection broke. */
    static UnavailableException unreachable(String address, String why, Throwable cause) {
        String message =
                "no answer from the server at " + address + ": " + why + ": check the address and that the server runs";
        return new UnavailableException(
                ErrorFacts.of(Status.Code.UNAVAILABLE, "", message).withCause(cause));
    }

    static DeadlineExceededException timedOut(String address, Throwable cause) {
        String message = "the server at " + address
                + " did not answer in time: allow it more with callTimeout, or try again later";
        return new DeadlineExceededException(
                ErrorFacts.of(Status.Code.DEADLINE_EXCEEDED, "", message).withCause(cause));
    }

    /** Whether the same call may succeed a little later. */
    static boolean isTransient(JobstreamException error) {
        return error instanceof UnavailableException
                || (error instanceof ResourceExhaustedException
                        && error.retryAfter().isPresent());
    }

    /** The same error, after the client's own tries to get past it. */
    static JobstreamException givenUp(JobstreamException error, String after) {
        ErrorFacts facts = error.facts()
                .withMessage(error.getMessage() + "; gave up after " + after)
                .withCause(error);
        return classify(facts);
    }

    /** The exception for a code and a reason. */
    static JobstreamException classify(ErrorFacts facts) {
        return switch (facts.reason()) {
            case JOB_NOT_FOUND -> new JobNotFoundException(facts);
            case "RESULT_EXPIRED" -> new ResultExpiredException(facts);
            case "JOB_ID_REUSED" -> new JobIdReusedException(facts);
            default ->
                switch (facts.code()) {
                    case INVALID_ARGUMENT, OUT_OF_RANGE -> new InvalidRequestException(facts);
                    case FAILED_PRECONDITION, ABORTED -> new IllegalJobStateException(facts);
                    case RESOURCE_EXHAUSTED -> new ResourceExhaustedException(facts);
                    case UNAVAILABLE, CANCELLED -> new UnavailableException(facts);
                    case DEADLINE_EXCEEDED -> new DeadlineExceededException(facts);
                    default -> new JobstreamException(facts);
                };
        };
    }

    /** The pause that the server asks for with a status, if it does. */
    static Duration retryAfter(com.google.rpc.Status details) {
        return find(details, RetryInfo.class)
                .filter(RetryInfo::hasRetryDelay)
                .map(info -> Wire.duration(info.getRetryDelay()))
                .orElse(null);
    }

    private static JobstreamException told(
            Status status, com.google.rpc.Status details, ErrorInfo info, String address) {
        String said = status.getDescription() == null ? "no reason given" : status.getDescription();
        List<Violation> violations =
                find(details, BadRequest.class).map(BadRequest::getFieldViolationsList).orElse(List.of()).stream()
                        .map(violation -> new Violation(violation.getField(), violation.getDescription()))
                        .toList();
        return classify(new ErrorFacts(
                status.getCode(),
                info.getReason(),
                said + " (" + info.getReason() + ", server " + address + ")",
                retryAfter(details),
                violations,
                info.getMetadataMap(),
                status.getCause()));
    }

    /** No reason of ours: the connection broke, or something between us and the server speaks. */
    private static JobstreamException foreign(Status status, String address, Throwable thrown) {
        String said = innermost(status);
        return switch (status.getCode()) {
            case UNAVAILABLE, CANCELLED, ABORTED, UNKNOWN, INTERNAL, DATA_LOSS -> unreachable(address, said, thrown);
            case DEADLINE_EXCEEDED -> timedOut(address, thrown);
            case UNIMPLEMENTED ->
                classify(new ErrorFacts(
                        status.getCode(),
                        "",
                        said + " (server " + address + "): is it a jobstream server, as new as this client?",
                        null,
                        List.of(),
                        Map.of(),
                        thrown));
            default ->
                classify(ErrorFacts.of(status.getCode(), "", said + " (server " + address + ")")
                        .withCause(thrown));
        };
    }

    /** {@code io exception: Connection refused}: gRPC's own words and the end of the chain of causes. */
    private static String innermost(Status status) {
        String said = status.getDescription() == null ? status.getCode().name() : status.getDescription();
        Throwable cause = status.getCause();
        while (cause != null && cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause == null || cause.getMessage() == null ? said : said + ": " + cause.getMessage();
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
                    // Without it the status still says what happened.
                    return Optional.empty();
                }
            }
        }
        return Optional.empty();
    }
}
