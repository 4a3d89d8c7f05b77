// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Times are seconds of a clock that the tests tell. */
class TermTest {
    private final Term term = new Term();

    private static long s(double seconds) {
        return (long) (seconds * Clock.SECOND);
    }

    @BeforeEach
    void grant() {
        term.start(s(9), 0);
        term.confirm(s(100), s(9), s(101));
    }

    @Test
    void itCountsFromTheSending() {
        assertEquals(s(8), term.left(s(101)));
        assertEquals(0, term.left(s(109)));
        assertEquals(0, term.left(s(200)));
    }

    @Test
    void itIsNotValidBeforeItIsConfirmedNorAfterItsEnd() {
        assertEquals(0, new Term().left(s(1)));
        term.end();
        assertEquals(0, term.left(s(101)));
    }

    @Test
    void itPingsEachThirdAndSoonerWhenLittleIsLeft() {
        term.planPing(s(101));
        assertFalse(term.isDue(s(103.9)));
        assertTrue(term.isDue(s(104)));
        term.planPing(s(107));
        assertTrue(term.isDue(s(108)));
        term.planPing(s(108.9));
        assertFalse(term.isDue(s(109.2)));
        assertTrue(term.isDue(s(109.3)));
    }

    @Test
    void itPingsByTheHeartbeatIfThatIsShorter() {
        term.start(s(9), s(3));
        term.planPing(s(101));
        assertFalse(term.isDue(s(101.9)));
        assertTrue(term.isDue(s(102)));
    }

    @Test
    void itWarnsOnceAndAgainAfterARecovery() {
        assertFalse(term.mustWarn(s(107.4)));
        assertTrue(term.mustWarn(s(107.5)));
        assertTrue(term.warn());
        assertFalse(term.mustWarn(s(108)));
        assertFalse(term.warn());
        term.confirm(s(108), s(2), s(108));
        term.noteRecovery(s(108));
        assertFalse(term.mustWarn(s(109)));
        term.confirm(s(109), s(9), s(109));
        term.noteRecovery(s(109));
        assertTrue(term.mustWarn(s(117)));
    }

    @Test
    void itWakesToPingToWarnAndToEnd() {
        term.planPing(s(101));
        assertEquals(s(104), term.wakesAt());
        term.planPing(s(105));
        assertEquals(s(107), term.wakesAt());
        term.warn();
        term.planPing(s(108.9));
        assertEquals(s(109), term.wakesAt());
    }

    @Test
    void aGraceLimitsIt() {
        term.limit(s(200));
        assertEquals(s(8), term.left(s(101)));
        term.limit(s(103));
        assertEquals(s(2), term.left(s(101)));
    }

    @Test
    void theLongestHoldIsToldFromAnExpiry() {
        assertEquals(Loss.EXPIRED, term.lossByTime());
        term.endsAt(s(130));
        term.confirm(s(110), s(9), s(110));
        assertEquals(Loss.EXPIRED, term.lossByTime());
        term.confirm(s(122), s(7), s(123));
        assertEquals(Loss.MAX_HOLD, term.lossByTime());
    }

    @Test
    void theClockGoesOnAndReadsUptime() {
        long before = Clock.now();
        assertTrue(Clock.now() - before >= 0);
        assertEquals(s(12345.67), Clock.parse("12345.67 54321.00\n"));
        assertThrows(NumberFormatException.class, () -> Clock.parse("12345"));
        assertThrows(NumberFormatException.class, () -> Clock.parse("12345.6 1.00"));
    }

    @Test
    void durationsAreRoundedUpAndAtMostADay() {
        assertEquals(0, Lock.milliseconds("ttl", Duration.ZERO));
        assertEquals(1, Lock.milliseconds("ttl", Duration.ofNanos(1)));
        assertEquals(1500, Lock.milliseconds("ttl", Duration.ofMillis(1500)));
        assertEquals(86_400_000, Lock.milliseconds("ttl", Duration.ofDays(1)));
        assertThrows(
                InvalidRequestException.class, () -> Lock.milliseconds("ttl", Duration.ofDays(1).plusNanos(1)));
        assertThrows(InvalidRequestException.class, () -> Lock.milliseconds("ttl", Duration.ofNanos(-1)));
    }
}
