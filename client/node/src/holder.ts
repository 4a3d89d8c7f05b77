// SPDX-License-Identifier: Apache-2.0
/* Who holds a lock. */
import type { Holder__Output } from "./generated/holdfast/v1/Holder";
import type { Mode__Output } from "./generated/holdfast/v1/Mode";

/** How a lock is held: by one, or by many. */
export type Mode = "exclusive" | "shared";

export interface Holder {
    /** The lock this is about, where several were asked for; else "". */
    key: string;
    /** The label that the holder gave; "" when there is none. */
    label: string;
    /**
     * The value that the holder gave; only inspect and watch tell it. Often text:
     * `value.toString()`.
     */
    value: Buffer;
    /** Of the current grant; 0 when the holder is foreign. */
    fence: number;
    mode: Mode;
    /** How many hold it; the other fields tell of one of them. */
    holders: number;
    /** When the lease was granted; null when that is not known. */
    since: Date | null;
    /** Milliseconds until Redis lets go unless the lease is renewed; -1: never. */
    remainingMs: number;
    /** Another program that uses the same key in Redis holds it. */
    foreign: boolean;
    /** Nobody holds it, but it stays closed after a loss, as its last holder had asked. */
    closed: boolean;
}

/** @internal */
export function modeOf(mode: Mode__Output): Mode {
    return mode === "MODE_SHARED" ? "shared" : "exclusive";
}

/** @internal */
export function holderOf(message: Holder__Output): Holder {
    return {
        key: message.key,
        label: message.label,
        value: message.value,
        fence: message.fence,
        mode: modeOf(message.mode),
        holders: message.holders,
        since: message.sinceMs > 0 ? new Date(message.sinceMs) : null,
        remainingMs: message.remainingMs,
        foreign: message.foreign,
        closed: message.closed,
    };
}
