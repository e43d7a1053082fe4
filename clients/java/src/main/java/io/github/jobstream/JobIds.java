package io.github.jobstream;

import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;

/** Ids of jobs: UUIDs v7, which sort by the time of their making. */
final class JobIds {
    private static final long VERSION_7 = 0x7000L;
    private static final long VARIANT = 0x8000_0000_0000_0000L;

    private JobIds() {}

    static String mint() {
        return of(System.currentTimeMillis(), ThreadLocalRandom.current().nextInt(), UUID.randomUUID());
    }

    /** Of the time, twelve bits of the salt and the random end of a UUID v4. */
    static String of(long unixMillis, int salt, UUID chance) {
        long most = (unixMillis << 16) | VERSION_7 | (salt & 0xFFF);
        long least = (chance.getLeastSignificantBits() & ~(3L << 62)) | VARIANT;
        return new UUID(most, least).toString();
    }
}
