package io.github.jobstream;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JavaType;

/** A handler with the type of its input. */
record HandlerEntry(Handler<Object, ?> handler, JavaType inputType, Codec codec) {
    /** Decodes the input, runs the handler and encodes its result. */
    Payload run(JobContext context) throws Exception {
        Object input;
        try {
            input = codec.decode(context.payload(), inputType);
        } catch (JsonProcessingException error) {
            String what = "the payload cannot be decoded as " + inputType.toCanonical();
            String contentType = " (content type " + context.payload().contentType() + ")";
            throw new FinalReports.BadInput(
                    what + ": " + Codec.describe(error) + contentType, what + Codec.location(error) + contentType);
        }
        return encode(handler.handle(input, context));
    }

    private Payload encode(Object result) {
        try {
            return codec.encode("result", result);
        } catch (InvalidRequestException unwritable) {
            throw new PermanentException(unwritable.getMessage(), unwritable.getCause());
        }
    }
}
