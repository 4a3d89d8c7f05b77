// SPDX-License-Identifier: Apache-2.0
/* What the application keeps of a grant. */
import { HoldfastError } from "./errors";
import type { Lease__Output } from "./generated/holdfast/v1/Lease";
import type { Hold } from "./hold";
import { type Mode, modeOf } from "./holder";

/** What held and detached leases have in common. */
export abstract class Grant implements AsyncDisposable {
    /** The lock's name; with several, the first in the order of their names. */
    readonly key: string;
    /**
     * Rises with every grant of the lock; hand it to the resource you protect, which refuses a
     * lower one than it has seen. Below 2^53, so a number holds it. With several locks: that of
     * `key`.
     */
    readonly fence: number;
    /** The fence of each lock, by its name. */
    readonly fences: ReadonlyMap<string, number>;
    readonly mode: Mode;
    readonly #token: Buffer;

    /** @internal */
    constructor(message: Lease__Output) {
        const locks = message.locks.length > 0 ? message.locks : [message];
        this.key = message.key;
        this.fence = message.fence;
        this.fences = new Map(locks.map(({ key, fence }) => [key, fence]));
        this.mode = modeOf(message.mode);
        this.#token = message.token;
    }

    /**
     * A secret: whoever has it can release the lease. Neither printed nor turned to JSON with the
     * lease.
     */
    get token(): Buffer {
        return Buffer.from(this.#token);
    }

    /** The time to live in Redis that each renewal restores. */
    abstract get ttlMs(): number;

    /**
     * For how long the lease is certainly valid; 0 when it is not. Reads the clock: ask right
     * before you act.
     */
    abstract get validForMs(): number;

    /**
     * Gives the lease up; settled when the lock is free. A second call is the first. Throws
     * NotHeldError: lost before.
     */
    abstract release(): Promise<void>;

    /** For `await using`: a release that does not mind what comes of it. */
    async [Symbol.asyncDispose](): Promise<void> {
        try {
            await this.release();
        } catch (error) {
            if (!(error instanceof HoldfastError)) {
                throw error;
            }
        }
    }
}

/**
 * A lease that this process holds: kept alive until it is released or lost, or the process dies.
 */
export class Lease extends Grant {
    /**
     * Aborted the moment the lease is lost, with a LeaseLostError for its reason; not by a release.
     */
    readonly signal: AbortSignal;
    readonly #hold: Hold;

    /** @internal */
    constructor(message: Lease__Output, hold: Hold, signal: AbortSignal) {
        super(message);
        this.#hold = hold;
        this.signal = signal;
    }

    override get ttlMs(): number {
        return this.#hold.ttlMs;
    }

    override get validForMs(): number {
        return this.#hold.validForMs;
    }

    /**
     * Asks the server how long the lease is valid. The library does so by itself; this is for who
     * must be sure.
     */
    renew(): Promise<number> {
        return this.#hold.renew();
    }

    override release(): Promise<void> {
        return this.#hold.release();
    }
}
