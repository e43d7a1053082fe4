package io.github.jobstream;

import io.grpc.Status;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Pattern;

/** Generates and checks job ids. Generated ones are UUIDs v7, which sort by their creation time. */
final class JobIds {
    private static final String HYPHENATED = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
    /** The formats of a UUID that the server accepts. */
    private static final Pattern FORMAT = Pattern.compile(
            "(?:urn:uuid:)?" + HYPHENATED + "|\\{" + HYPHENATED + "}|[0-9a-f]{32}", Pattern.CASE_INSENSITIVE);

    private static final long VERSION_7 = 0x7000L;
    private static final long VARIANT = 0x8000_0000_0000_0000L;

    private JobIds() {}

    static String generate() {
        return of(System.currentTimeMillis(), ThreadLocalRandom.current().nextInt(), UUID.randomUUID());
    }

    /**
     * Returns the id if it is a UUID. The message of the error has a hint for callers with names of their own.
     *
     * @param field name of the field in the request
     * @throws InvalidRequestException if the id is not a UUID
     */
    static String check(String field, String id) {
        if (FORMAT.matcher(id).matches()) {
            return id;
        }
        String message = "is \"" + id + "\": must be a UUID; derive one from a name with UUIDv5 (RFC 9562)";
        throw new InvalidRequestException(ErrorDetails.of(Status.Code.INVALID_ARGUMENT, "", field + " " + message)
                .withViolations(List.of(new Violation(field, message))));
    }

    /** Combines the time, twelve bits of the salt and the random end of a UUID v4. */
    static String of(long unixMillis, int salt, UUID random) {
        long most = (unixMillis << 16) | VERSION_7 | (salt & 0xFFF);
        long least = (random.getLeastSignificantBits() & ~(3L << 62)) | VARIANT;
        return new UUID(most, least).toString();
    }
}
