package io.github.jobstream;

import io.grpc.CallCredentials;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Supplier;
import java.util.regex.Pattern;

/** The token of every call: a fixed one, or that of a supplier, which may block. */
final class BearerToken extends CallCredentials {
    private static final Metadata.Key<String> HEADER =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private static final Pattern VISIBLE = Pattern.compile("[\\x21-\\x7e]+");

    private final Supplier<String> supplier;
    private final boolean isRenewed;

    private BearerToken(Supplier<String> supplier, boolean isRenewed) {
        this.supplier = supplier;
        this.isRenewed = isRenewed;
    }

    /**
     * A fixed token. The name is that of the option.
     *
     * @throws IllegalArgumentException if no header may have it
     */
    static BearerToken of(String token, String name) {
        String trimmed = token.strip();
        if (!VISIBLE.matcher(trimmed).matches()) {
            throw new IllegalArgumentException(
                    name + " has characters that no header may have: use a token of visible ASCII characters");
        }
        return new BearerToken(() -> trimmed, false);
    }

    /** The token of a supplier, which is called for each call and each stream. */
    static BearerToken renewedBy(Supplier<String> supplier) {
        return new BearerToken(supplier, true);
    }

    /** Whether a call that is refused for its token may succeed with the next one. */
    boolean isRenewed() {
        return isRenewed;
    }

    @Override
    public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
        if (!isRenewed) {
            apply(applier);
            return;
        }
        try {
            // The supplier must not block the thread of the connection.
            executor.execute(() -> apply(applier));
        } catch (RejectedExecutionException closing) {
            applier.fail(Status.CANCELLED.withDescription("the executor of the client is closed"));
        }
    }

    private void apply(MetadataApplier applier) {
        Metadata headers = new Metadata();
        try {
            headers.put(HEADER, "Bearer " + current());
        } catch (JobstreamException unusable) {
            applier.fail(unusable.code().toStatus().withCause(unusable));
            return;
        }
        applier.apply(headers);
    }

    /**
     * The token of the supplier. An unusable one is a failure of the supplier: the next one may be usable, for example once
     * a file is written to its end.
     */
    private String current() {
        try {
            String token = supplier.get();
            String trimmed = token == null ? "" : token.strip();
            if (!VISIBLE.matcher(trimmed).matches()) {
                throw new IllegalStateException("it returned no token of visible ASCII characters");
            }
            return trimmed;
        } catch (RuntimeException | Error failed) {
            String message = "the supplier of the token failed, so no call was sent: " + failed.getMessage();
            throw new UnavailableException(ErrorDetails.of(Status.Code.UNAVAILABLE, Errors.TOKEN_UNAVAILABLE, message)
                    .withCause(failed));
        }
    }
}
