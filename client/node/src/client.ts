// SPDX-License-Identifier: Apache-2.0
import { Channel, type ClientOptions, type Start } from "./channel";
import { nowMs } from "./clock";
import { acquireDetached, type DetachedLease, releaseByToken, renewByToken } from "./detached";
import { AwayError, BusyError, LeaseLostError, TimeoutError } from "./errors";
import type { HealthCheckResponse__Output } from "./generated/grpc/health/v1/HealthCheckResponse";
import type { InspectResponse__Output } from "./generated/holdfast/v1/InspectResponse";
import type { Owner } from "./hold";
import { type Holder, holderOf } from "./holder";
import { lead, type LeadOptions, type Work } from "./leader";
import type { Lease } from "./lease";
import {
    type Ask,
    checkKey,
    checkOptions,
    checkToken,
    type DetachedOptions,
    lockAsk,
    type LockOptions,
    type ResumeOptions,
} from "./options";
import { Question } from "./question";
import { type LockState, states, Watcher } from "./watch";

/** One lock by its name, or 2 to 16 that are taken all or none. */
export type Key = string | readonly string[];

/**
 * Talks to one server, over one connection that is made when it is first needed and again whenever
 * it drops. Leases belong to that connection: they are lost with it, unless they have a grace.
 *
 * Every failure is a HoldfastError. Callbacks run on their own; what they throw is an uncaught
 * exception.
 */
export class Client implements AsyncDisposable {
    readonly #channel: Channel;
    /** What closing ends. */
    readonly #parts = new Set<{ abandon(): void }>();
    readonly #owner: Owner = {
        remember: (part) => this.#parts.add(part),
        forget: (part) => this.#parts.delete(part),
        release: (key, token) => this.release(key, token),
    };

    /** Throws InvalidError when the options make no sense. Connects later. */
    constructor(options: ClientOptions = {}) {
        this.#channel = new Channel(options);
    }

    /**
     * Holds a lock until it is released or lost, or this process dies. Without `waitMs` the lock
     * must be free. Throws BusyError when somebody else has it (still, after the wait).
     */
    async lock(key: Key, options: LockOptions = {}): Promise<Lease> {
        return this.#hold(lockAsk(key, options), null);
    }

    /** As `lock`, but null when somebody else has it. */
    async tryLock(key: Key, options: LockOptions = {}): Promise<Lease | null> {
        try {
            return await this.lock(key, options);
        } catch (error) {
            if (error instanceof BusyError) {
                return null;
            }
            throw error;
        }
    }

    /**
     * Locks, works, releases. The signal is aborted the moment the lease is lost; then this throws
     * a LeaseLostError, whatever the work came to, for it was not alone.
     */
    withLock<T>(key: Key, work: Work<T>): Promise<T>;
    withLock<T>(key: Key, options: LockOptions, work: Work<T>): Promise<T>;
    async withLock<T>(key: Key, ...rest: [Work<T>] | [LockOptions, Work<T>]): Promise<T> {
        const [options, work] = rest.length === 1 ? [{}, rest[0]] : rest;
        const lease = await this.lock(key, options);
        let result: T;
        try {
            result = await work(lease, lease.signal);
        } catch (error) {
            await lease[Symbol.asyncDispose]();
            throw lostOr(lease, error);
        }
        try {
            await lease.release();
        } catch (error) {
            /* The work is done, and the lock is free soon: with the connection or its ttl. */
            if (!(error instanceof AwayError || error instanceof TimeoutError)) {
                throw lostOr(lease, error);
            }
        }
        return result;
    }

    /**
     * Takes a lease over by its token, within its grace: it is this client's from now on, with the
     * fence it had, and whoever held it has lost it. Throws NotHeldError when it has ended.
     */
    async resume(key: string, token: Uint8Array, options: ResumeOptions = {}): Promise<Lease> {
        checkKey(key);
        checkToken(token);
        checkOptions(options, "resume");
        return this.#hold({ ...options, keys: [key] }, Buffer.from(token));
    }

    /** Acquires a lease that is bound to nothing but its ttl. */
    acquireDetached(key: string, options: DetachedOptions = {}): Promise<DetachedLease> {
        return acquireDetached(this.#channel, key, options);
    }

    /** Extends a detached lease of another process by its key and token. */
    renew(key: string, token: Uint8Array, ttlMs = 0): Promise<DetachedLease> {
        return renewByToken(this.#channel, key, token, ttlMs);
    }

    /**
     * Releases a lease of another process by its key and token. Throws NotHeldError when it is not
     * held.
     */
    release(key: string, token: Uint8Array): Promise<void> {
        return releaseByToken(this.#channel, key, token);
    }

    /** Who holds a lock; null: nobody. */
    async inspect(key: string): Promise<Holder | null> {
        checkKey(key);
        const channel = this.#channel;
        const until = nowMs() + channel.timeoutMs;
        const start: Start<InspectResponse__Output> = (...call) =>
            channel.locks.inspect({ key }, ...call);
        const { held } = await channel.ask(until, start);
        return held ? holderOf(held) : null;
    }

    /**
     * Who holds a lock: its state now, then each change, until the loop is left or the signal
     * aborted. To a slow reader, changes are told as one.
     */
    watch(
        key: string,
        { signal }: { signal?: AbortSignal } = {},
    ): AsyncGenerator<LockState, void, void> {
        checkKey(key);
        const watcher = new Watcher(this.#channel, key, this.#owner.forget);
        this.#owner.remember(watcher);
        return states(watcher, signal);
    }

    /**
     * Stands for election on a lock. Elected, it runs `work`, whose signal is aborted when the
     * leader is deposed; once the work has stopped it stands again. Settled when `work` ends by
     * itself, with its result or error, or, with undefined, after `options.signal` was aborted.
     */
    async lead<T>(key: string, options: LeadOptions, work: Work<T>): Promise<T | undefined> {
        return lead((asked) => this.lock(key, asked), this.#owner, options, work);
    }

    /**
     * Whether the server serves: it can be reached, reaches its Redis, and is not shutting down.
     */
    async health(): Promise<boolean> {
        const channel = this.#channel;
        try {
            const until = nowMs() + channel.timeoutMs;
            const start: Start<HealthCheckResponse__Output> = (...call) =>
                channel.health.check({}, ...call);
            const { status } = await channel.ask(until, start);
            return status === "SERVING";
        } catch (error) {
            if (error instanceof AwayError || error instanceof TimeoutError) {
                return false;
            }
            throw error;
        }
    }

    /**
     * Gives up all leases (their signals are aborted), ends waits and watches, and the connection.
     */
    async close(): Promise<void> {
        this.#parts.forEach((part) => part.abandon());
        await this.#channel.close();
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.close();
    }

    #hold(ask: Ask, token: Buffer | null): Promise<Lease> {
        const question = new Question(this.#channel, ask, this.#owner, token);
        this.#owner.remember(question);
        return question.start();
    }
}

/** What went wrong: the loss, if there was one, with what came of it. */
function lostOr(lease: Lease, error: unknown): unknown {
    const lost: unknown = lease.signal.reason;
    if (!(lost instanceof LeaseLostError) || error === lost) {
        return error;
    }
    return new LeaseLostError(lost.key, lost.reason, { cause: error });
}
