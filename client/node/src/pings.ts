// SPDX-License-Identifier: Apache-2.0
/* The pings that the server has not answered yet; it answers them in their order. */
import type { Deferred } from "./deferred";

/** More would not wake the server. */
const PINGS_MAX = 64;

interface Ping {
    sentMs: number;
    /** Who wants to know for how long the lease is valid then. */
    waiter?: Deferred<number> | undefined;
}

export class Pings {
    private unanswered: Ping[] = [];

    /** False when too many are not answered. */
    add(sentMs: number, waiter?: Deferred<number>): boolean {
        if (this.unanswered.length >= PINGS_MAX) {
            return false;
        }
        this.unanswered.push({ sentMs, waiter });
        return true;
    }

    /** The oldest. */
    take(): Ping | undefined {
        return this.unanswered.shift();
    }

    /**
     * The connection dropped: only those that somebody waits for wait on, for coming back answers
     * them as well.
     */
    dropIdle(): void {
        this.unanswered = this.unanswered.filter(({ waiter }) => waiter !== undefined);
    }

    resolveAll(validForMs: number): void {
        this.unanswered.splice(0).forEach(({ waiter }) => waiter?.resolve(validForMs));
    }

    rejectAll(error: Error): void {
        this.unanswered.splice(0).forEach(({ waiter }) => waiter?.reject(error));
    }
}
