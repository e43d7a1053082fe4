package io.github.jobstream;

import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;

/** Generates job ids: UUIDs v7, which sort by their creation time. */
final class JobIds {
    private static final long VERSION_7 = 0x7000L;
    private static final long VARIANT = 0x8000_0000_0000_0000L;

    private JobIds() {}

    static String generate() {
        return of(System.currentTimeMillis(), ThreadLocalRandom.current().nextInt(), UUID.randomUUID());
    }

    /** Combines the time, twelve bits of the salt and the random end of a UUID v4. */
    static String of(long unixMillis, int salt, UUID random) {
        long most = (unixMillis << 16) | VERSION_7 | (salt & 0xFFF);
        long least = (random.getLeastSignificantBits() & ~(3L << 62)) | VARIANT;
        return new UUID(most, least).toString();
    }
}
