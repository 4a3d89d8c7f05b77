// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The clock that deadlines are measured with, in nanoseconds: Java's, which stands still while the machine is
 * suspended, moved on by what Linux' uptime says was slept. Elsewhere Java's alone.
 */
final class Clock {
    static final long MILLISECOND = 1_000_000;
    static final long SECOND = 1_000 * MILLISECOND;

    private static final File UPTIME = new File("/proc/uptime");
    private static final int UPTIME_MAX = 64;
    private static final boolean HAS_UPTIME = UPTIME.canRead();

    /** Of Java's clock. Uptime is told rounded down, so the largest difference seen is the right one. */
    private static final AtomicLong AHEAD = new AtomicLong(-System.nanoTime());

    private Clock() {}

    static long now() {
        long now = System.nanoTime();
        return HAS_UPTIME ? now + AHEAD.accumulateAndGet(ahead(now), Math::max) : now;
    }

    /** What cannot be read tells nothing new. */
    private static long ahead(long now) {
        try (FileInputStream file = new FileInputStream(UPTIME)) {
            return parse(new String(file.readNBytes(UPTIME_MAX), StandardCharsets.US_ASCII)) - now;
        } catch (IOException | NumberFormatException error) {
            return AHEAD.get();
        }
    }

    /** SECONDS.HUNDREDTHS IDLE */
    static long parse(String uptime) {
        int point = uptime.indexOf('.');
        if (point < 0 || uptime.indexOf(' ') != point + 3) {
            throw new NumberFormatException("not an uptime");
        }
        long seconds = Long.parseLong(uptime.substring(0, point));
        long hundredths = Long.parseLong(uptime.substring(point + 1, point + 3));
        return seconds * SECOND + hundredths * 10 * MILLISECOND;
    }
}
