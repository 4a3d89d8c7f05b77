// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/**
 * How long a lease is certainly valid, and when something must be done about it.
 *
 * <p>Whoever calls tells the time, in nanoseconds of the Clock. Only the loop changes a term; any thread may ask
 * what is left.
 */
final class Term {
    /** A ping each third of the time that counts leaves two more chances. */
    private static final int PINGS_A_TERM = 3;

    /** Pings come faster while the server confirms little, but not much faster. */
    private static final int PING_HURRY_MAX = 8;

    /** The application is warned when this part of the ttl is left; a healthy lease stays above a third. */
    private static final int AT_RISK_PART = 6;

    /** Between two attempts to resume. */
    private static final long RESUME_PAUSE = 100 * Clock.MILLISECOND;

    private volatile long deadline;
    private volatile boolean isValid; // so far as the deadline allows
    private volatile boolean isLast; // max hold ends it, if nothing else does
    private volatile Loss loss;
    private volatile long ttl;
    private long interval; // of pings
    private long due; // the next ping, or attempt to resume
    private boolean hasEnd;
    private long end; // of the longest hold
    private boolean isWarned;

    /** A new grant, or a resumed one. It is valid once it is confirmed. */
    void start(long newTtl, long heartbeat) {
        ttl = newTtl;
        interval = (heartbeat == 0 ? newTtl : Math.min(newTtl, heartbeat)) / PINGS_A_TERM;
        hasEnd = false;
        isWarned = false;
    }

    /** The longest hold. */
    void endsAt(long until) {
        hasEnd = true;
        end = until;
    }

    long left(long now) {
        return isValid ? Math.max(0, deadline - now) : 0;
    }

    long ttl() {
        return ttl;
    }

    Loss loss() {
        return loss;
    }

    long atRisk() {
        return ttl / AT_RISK_PART;
    }

    /**
     * The server never confirms more than the longest hold leaves, which was `now` minus `sentAt` less when we
     * heard of it than when it was counted.
     */
    void confirm(long sentAt, long validFor, long now) {
        deadline = sentAt + validFor;
        isValid = true;
        isLast = hasEnd && deadline + (now - sentAt) + Clock.MILLISECOND - end >= 0;
    }

    void limit(long until) {
        deadline = Math.min(deadline, until);
    }

    void lose(Loss why) {
        loss = why;
        isValid = false;
    }

    void end() {
        isValid = false;
    }

    Loss lossByTime() {
        return isLast ? Loss.MAX_HOLD : Loss.EXPIRED;
    }

    boolean isDue(long now) {
        return now - due >= 0;
    }

    /** Halfway to the end at the latest: what is left may be less than the ttl. */
    void planPing(long now) {
        due = now + Math.min(interval, Math.max(left(now) / 2, interval / PING_HURRY_MAX));
    }

    void planResume(long now) {
        due = now + RESUME_PAUSE;
    }

    /** Ping or resume, warn, or end. */
    long wakesAt() {
        return Math.min(due, deadline - (isWarned ? 0 : atRisk()));
    }

    /** Once, and again after a recovery. */
    boolean mustWarn(long now) {
        return !isWarned && left(now) <= atRisk();
    }

    /** Whether this is the first time. */
    boolean warn() {
        boolean isFirst = !isWarned;
        isWarned = true;
        return isFirst;
    }

    void noteRecovery(long now) {
        if (left(now) > 2 * atRisk()) {
            isWarned = false;
        }
    }
}
