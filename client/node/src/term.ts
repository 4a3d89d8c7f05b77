// SPDX-License-Identifier: Apache-2.0
/*
 * For how long a lease is certainly valid, by our own clock, and when to do something about it. It
 * only counts: it is told the time, in milliseconds of one clock, and sends nothing.
 */

/** A ping each third of the time that counts leaves two more chances. */
const PINGS_A_TERM = 3;

/** Pings come faster while the server confirms little, but not much faster. */
const PING_HURRY_MAX = 8;

/**
 * The application is warned when this part of the ttl is left; a healthy lease stays above a third.
 */
const AT_RISK_PART = 6;

/** From a grant to our reading of it, where it matters for no more than the name of a loss. */
const GRANT_DELAY_MAX_MS = 10;

export interface TermOptions {
    ttlMs: number;
    heartbeatMs: number;
    maxHoldMs: number;
    /** When we heard of the grant. */
    grantedMs: number;
}

export class Term {
    /** Its deadline is that of the longest hold. */
    isLast = false;
    private deadlineMs = 0;
    private pingMs = 0;
    private isWarned = false;

    constructor(private readonly options: TermOptions) {}

    get ttlMs(): number {
        return this.options.ttlMs;
    }

    get atRiskMs(): number {
        return this.options.ttlMs / AT_RISK_PART;
    }

    leftMs(now: number): number {
        return this.deadlineMs - now;
    }

    /** The server said at `now` that the lease is valid for so long, counted from when we asked. */
    confirm(sentMs: number, validForMs: number, now: number): void {
        const { maxHoldMs, grantedMs } = this.options;
        this.deadlineMs = sentMs + validForMs;
        /*
         * A server never confirms more than the longest hold leaves, which was less by the time we
         * heard.
         */
        const told = this.deadlineMs + (now - sentMs) + GRANT_DELAY_MAX_MS;
        this.isLast = maxHoldMs !== 0 && told >= grantedMs + maxHoldMs;
        this.isWarned = this.isWarned && this.leftMs(now) <= 2 * this.atRiskMs;
    }

    /** As `confirm`, for a lease that was resumed. */
    restore(sentMs: number, validForMs: number, ttlMs: number, now: number): void {
        this.options.ttlMs = ttlMs;
        this.confirm(sentMs, validForMs, now);
        this.isWarned = false;
    }

    limit(untilMs: number): void {
        this.deadlineMs = Math.min(this.deadlineMs, untilMs);
    }

    end(): void {
        this.deadlineMs = 0;
    }

    /** Whether the application is to be warned now; true once, and again after a recovery. */
    warns(): boolean {
        const isNews = !this.isWarned;
        this.isWarned = true;
        return isNews;
    }

    /** Halfway to the end at the latest: what is left may be less than the ttl. */
    planPing(now: number): void {
        const { ttlMs, heartbeatMs } = this.options;
        const intervalMs = (heartbeatMs > 0 ? Math.min(heartbeatMs, ttlMs) : ttlMs) / PINGS_A_TERM;
        const soonestMs = intervalMs / PING_HURRY_MAX;
        this.pingMs = now + Math.min(intervalMs, Math.max(this.leftMs(now) / 2, soonestMs));
    }

    isPingDue(now: number): boolean {
        return now >= this.pingMs;
    }

    postponePing(now: number, pauseMs: number): void {
        this.pingMs = now + pauseMs;
    }

    /** Until the next thing to do: a ping, a warning, the end. */
    delayMs(now: number): number {
        const leftMs = this.leftMs(now) - (this.isWarned ? 0 : this.atRiskMs);
        return Math.max(Math.min(leftMs, this.pingMs - now), 0);
    }
}
