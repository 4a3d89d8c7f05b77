// SPDX-License-Identifier: Apache-2.0
/*
 * Detached leases: bound to nothing but their ttl, renewed and released by key and token from
 * anywhere.
 */
import { randomBytes } from "node:crypto";

import type { Channel, Start } from "./channel";
import { nowMs } from "./clock";
import { BusyError, CancelledError, NotHeldError, RefusedError, TimeoutError } from "./errors";
import type { AcquireResponse__Output } from "./generated/holdfast/v1/AcquireResponse";
import type { Lease__Output } from "./generated/holdfast/v1/Lease";
import type { ReleaseResponse__Output } from "./generated/holdfast/v1/ReleaseResponse";
import type { RenewResponse__Output } from "./generated/holdfast/v1/RenewResponse";
import { holderOf } from "./holder";
import { Grant } from "./lease";
import {
    checkKey,
    checkNumber,
    checkOptions,
    checkToken,
    detachedMessage,
    type DetachedOptions,
    TOKEN_BYTES,
} from "./options";

const EXPIRED = "the lease had expired when its grant was read";

/**
 * A lease that outlives this process and the server. Renew it before its ttl ends; nobody else
 * does.
 */
export class DetachedLease extends Grant {
    readonly #channel: Channel;
    #deadlineMs: number;
    #ttlMs: number;
    #isReleased = false;

    /** @internal */
    constructor(channel: Channel, message: Lease__Output, sentMs: number) {
        super(message);
        this.#channel = channel;
        this.#deadlineMs = sentMs + message.validForMs;
        this.#ttlMs = message.ttlMs;
    }

    override get ttlMs(): number {
        return this.#ttlMs;
    }

    override get validForMs(): number {
        return Math.max(Math.floor(this.#deadlineMs - nowMs()), 0);
    }

    /**
     * Extends the lease to `ttlMs` from now, 0: the server's default; never cuts it short. Returns
     * `validForMs`.
     */
    async renew(ttlMs = 0): Promise<number> {
        checkNumber("ttlMs", ttlMs);
        const { message, sentMs } = await renewed(this.#channel, this.key, this.token, ttlMs);
        if (this.#isReleased) {
            throw new NotHeldError("the lease is being released");
        }
        this.#deadlineMs = message === null ? 0 : sentMs + message.validForMs;
        if (message === null) {
            throw new NotHeldError("the lease is not held any more");
        }
        this.#ttlMs = message.ttlMs;
        return this.validForMs;
    }

    /** As for any lease, but after a failure it may be asked again. */
    override release(): Promise<void> {
        this.#isReleased = true;
        this.#deadlineMs = 0;
        return releaseByToken(this.#channel, this.key, this.token);
    }
}

/** `message` is null when the lease is not held. */
async function renewed(channel: Channel, key: string, token: Uint8Array, ttlMs: number) {
    let sentMs = 0;
    const until = nowMs() + channel.timeoutMs;
    const start: Start<RenewResponse__Output> = (...call) => {
        sentMs = nowMs();
        return channel.locks.renew({ key, token, ttlMs }, ...call);
    };
    const { lease } = await channel.ask(until, start);
    return { message: lease ?? null, sentMs };
}

export async function renewByToken(
    channel: Channel,
    key: string,
    token: Uint8Array,
    ttlMs: number,
): Promise<DetachedLease> {
    checkKey(key);
    checkToken(token);
    checkNumber("ttlMs", ttlMs);
    const { message, sentMs } = await renewed(channel, key, token, ttlMs);
    if (message === null) {
        throw new NotHeldError("the lease is not held any more");
    }
    return new DetachedLease(channel, message, sentMs);
}

export async function releaseByToken(
    channel: Channel,
    key: string,
    token: Uint8Array,
): Promise<void> {
    checkKey(key);
    checkToken(token);
    const until = nowMs() + channel.timeoutMs;
    const start: Start<ReleaseResponse__Output> = (...call) =>
        channel.locks.release({ key, token }, ...call);
    const { outcome } = await channel.ask(until, start);
    if (outcome === "OUTCOME_NOT_HELD") {
        throw new NotHeldError("the lease is not held any more");
    }
    if (outcome !== "OUTCOME_RELEASED") {
        throw new RefusedError("the server's answer to Release makes no sense");
    }
}

/** Asks, with one token until there is an answer; a lost answer may have been a grant. */
class Acquire {
    private readonly token: Uint8Array;
    private sentMs = 0;
    private waitUntilMs = 0;
    private untilMs: number;

    constructor(
        private readonly channel: Channel,
        private readonly key: string,
        private readonly options: DetachedOptions,
    ) {
        this.token = options.token ?? randomBytes(TOKEN_BYTES);
        this.untilMs = nowMs() + channel.timeoutMs;
    }

    async run(): Promise<DetachedLease> {
        try {
            return await this.ask();
        } catch (error) {
            if (
                this.options.token === undefined &&
                this.sentMs > 0 &&
                !(error instanceof BusyError)
            ) {
                /* Nobody knows the token, and the ttl ends it, too. */
                releaseByToken(this.channel, this.key, this.token).catch(() => {});
            }
            throw error;
        }
    }

    private async ask(): Promise<DetachedLease> {
        const { key, token, options } = this;
        const start: Start<AcquireResponse__Output> = (...call) =>
            this.channel.locks.acquire(
                detachedMessage(key, token, options, this.waitLeftMs()),
                ...call,
            );
        const { lease, busy } = await this.channel.settle(
            () => this.untilMs,
            start,
            options.signal,
        );
        if (busy) {
            throw new BusyError(holderOf(busy));
        }
        if (!lease || lease.fence === 0 || !lease.token.equals(this.token)) {
            throw new RefusedError("the server's answer to Acquire makes no sense");
        }
        return this.options.waitMs ? this.confirm(lease) : this.checked(lease, lease.validForMs);
    }

    /** The wait begins when the server hears of it first; the timeout counts on top. */
    private waitLeftMs(): number {
        const { waitMs = 0 } = this.options;
        this.sentMs = nowMs();
        if (this.waitUntilMs === 0) {
            this.waitUntilMs = this.sentMs + waitMs;
            this.untilMs = this.waitUntilMs + this.channel.timeoutMs;
        }
        return Math.max(this.waitUntilMs - this.sentMs, 0);
    }

    /**
     * Counted from our question the lease may be over, although it was granted only now: renewing
     * it tells.
     */
    private async confirm(granted: Lease__Output): Promise<DetachedLease> {
        const { key, token } = this;
        const untilMs = nowMs() + this.channel.timeoutMs;
        const start: Start<RenewResponse__Output> = (...call) => {
            this.sentMs = nowMs();
            return this.channel.locks.renew(
                { key, token, ttlMs: this.options.ttlMs ?? 0 },
                ...call,
            );
        };
        const { lease } = await this.channel.settle(() => untilMs, start, this.options.signal);
        return this.checked(granted, lease?.validForMs ?? 0);
    }

    private checked(granted: Lease__Output, validForMs: number): DetachedLease {
        const lease = new DetachedLease(this.channel, { ...granted, validForMs }, this.sentMs);
        if (lease.validForMs <= 0) {
            throw new TimeoutError(EXPIRED);
        }
        return lease;
    }
}

export async function acquireDetached(
    channel: Channel,
    key: string,
    options: DetachedOptions,
): Promise<DetachedLease> {
    checkKey(key);
    checkOptions(options, "detached");
    if (options.token !== undefined) {
        checkToken(options.token);
    }
    if (options.signal?.aborted) {
        throw new CancelledError(options.signal);
    }
    return new Acquire(channel, key, options).run();
}
