package io.github.jobstream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.BadRequest.FieldViolation;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ErrorsTest {
    private static final String ADDRESS = "http://jobs:7070";

    private static JobstreamException serverError(Status.Code code, String reason, boolean isRetryable) {
        var status = com.google.rpc.Status.newBuilder()
                .setCode(code.value())
                .setMessage("message of the server")
                .addDetails(Any.pack(ErrorInfo.newBuilder()
                        .setReason(reason)
                        .setDomain("jobstream")
                        .putMetadata("limit", "7")
                        .build()))
                .addDetails(Any.pack(BadRequest.newBuilder()
                        .addFieldViolations(
                                FieldViolation.newBuilder().setField("job.kind").setDescription("is empty"))
                        .build()));
        if (isRetryable) {
            status.addDetails(Any.pack(RetryInfo.newBuilder()
                    .setRetryDelay(Wire.duration(Duration.ofSeconds(2)))
                    .build()));
        }
        return Errors.of(StatusProto.toStatusRuntimeException(status.build()), ADDRESS);
    }

    @Test
    void anErrorHasAllDetailsOfTheServer() {
        JobstreamException error = serverError(Status.Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", true);
        assertInstanceOf(ResourceExhaustedException.class, error);
        assertEquals("QUEUE_FULL", error.reason());
        assertEquals(Optional.of(Duration.ofSeconds(2)), error.retryAfter());
        assertEquals(Map.of("limit", "7"), error.metadata());
        assertEquals(List.of(new Violation("job.kind", "is empty")), error.violations());
        assertEquals("message of the server (QUEUE_FULL, server http://jobs:7070)", error.getMessage());
    }

    @Test
    void errorsOfAccessHaveClassesOfTheirOwn() {
        var refused = serverError(Status.Code.UNAUTHENTICATED, "CREDENTIAL_INVALID", false);
        assertInstanceOf(UnauthenticatedException.class, refused);
        assertTrue(Errors.isRefusedToken(refused));
        assertInstanceOf(
                PermissionDeniedException.class, serverError(Status.Code.PERMISSION_DENIED, "GRANT_MISSING", false));
        var quota = serverError(Status.Code.RESOURCE_EXHAUSTED, "QUOTA", true);
        assertInstanceOf(ResourceExhaustedException.class, quota);
        assertTrue(Errors.isTransient(quota));
        assertTrue(Errors.isTransient(serverError(Status.Code.UNAVAILABLE, "CREDENTIAL_EXPIRED", false)));
    }

    @Test
    void onlySomeErrorsAreTransient() {
        assertTrue(Errors.isTransient(serverError(Status.Code.UNAVAILABLE, "DRAINING", false)));
        assertTrue(Errors.isTransient(serverError(Status.Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", true)));
        assertFalse(Errors.isTransient(serverError(Status.Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", false)));
        assertFalse(Errors.isTransient(serverError(Status.Code.NOT_FOUND, "JOB_NOT_FOUND", false)));
        assertFalse(Errors.isTransient(serverError(Status.Code.INTERNAL, "INTERNAL", false)));
        assertFalse(Errors.isTransient(Errors.of(Status.DEADLINE_EXCEEDED.asException(), ADDRESS)));
    }

    @ParameterizedTest
    @EnumSource(
            value = Status.Code.class,
            names = {"UNAVAILABLE", "UNKNOWN", "INTERNAL", "CANCELLED"})
    void aStatusWithoutErrorInfoIsATransportError(Status.Code code) {
        var error = Errors.of(code.toStatus().withDescription("upstream reset").asException(), ADDRESS);
        assertInstanceOf(UnavailableException.class, error);
        assertTrue(error.getMessage().contains("upstream reset")
                && error.getMessage().contains(ADDRESS));
    }

    @Test
    void anUnimplementedErrorHasAHint() {
        var error = Errors.of(Status.UNIMPLEMENTED.asException(), ADDRESS);
        assertEquals(Status.Code.UNIMPLEMENTED, error.code());
        assertTrue(error.getMessage().contains("check that it is a jobstream server"), error.getMessage());
    }
}
