package io.github.jobstream;

/**
 * Is called around each run of a handler, on its thread. It calls {@code next} with the input, changed or not, and returns
 * the encoded result, changed or not. An exception fails the attempt like one of the handler. It must be thread-safe.
 *
 * <pre>{@code
 * HandlerInterceptor decrypt = (context, next) -> encrypt(next.run(decrypt(context.payload())));
 * }</pre>
 */
@FunctionalInterface
public interface HandlerInterceptor {
    /** Runs the handler with {@code next}. */
    Payload intercept(JobContext context, Next next) throws Exception;

    /** The rest of the interceptors, and then the handler. */
    @FunctionalInterface
    interface Next {
        /**
         * Decodes the input, runs the handler and encodes its result. {@link JobContext#payload} returns this input from
         * now on.
         *
         * @throws Exception the exception of the handler, or that of an input that cannot be decoded
         */
        Payload run(Payload input) throws Exception;
    }
}
