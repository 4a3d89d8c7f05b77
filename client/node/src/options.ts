// SPDX-License-Identifier: Apache-2.0
/* What may be asked for, its bounds, and the messages that ask for it. */
import type { AcquireRequest } from "./generated/holdfast/v1/AcquireRequest";
import type { HoldAsk } from "./generated/holdfast/v1/HoldAsk";
import type { LeaseLostError } from "./errors";
import { InvalidError } from "./errors";
import type { Holder, Mode } from "./holder";

/** What a held and a detached lease have in common. Times are whole milliseconds, at most a day. */
export interface AskOptions {
    /** Who is asking, for people: shown to whoever finds the lock busy. At most 128 bytes. */
    label?: string;
    /** Shown to whoever inspects or watches the lock. At most 4096 bytes. */
    value?: string | Uint8Array;
    /** The time to live in Redis that each renewal restores. Default: the server's. */
    ttlMs?: number;
    /** How long to wait for the lock. Default: not at all. */
    waitMs?: number;
    /** Default: exclusive. */
    mode?: Mode;
    /** Shared: at most so many holders. Default: any number. */
    limit?: number;
    /** How long the lock stays closed after an unclean loss. */
    lockDelayMs?: number;
    /** Takes the question back while it is not answered; once it is, aborting changes nothing. */
    signal?: AbortSignal;
}

/** For the life of a held lease. */
export interface HoldOptions {
    /** The server revokes the lease when it hears nothing from this process for that long. */
    heartbeatMs?: number;
    /**
     * How long the lease outlives a dropped connection; meanwhile the library resumes it. Not with
     * several keys.
     */
    graceMs?: number;
    /** The lease is lost at the latest that long after its grant. */
    maxHoldMs?: number;
    /** Renewals are not confirmed: prepare to stop. Once, and again after a recovery. */
    onAtRisk?: (validForMs: number) => void;
    /** The lease is lost; `lease.signal` was aborted just now. Once, and never after a release. */
    onLost?: (error: LeaseLostError) => void;
}

export interface LockOptions extends AskOptions, HoldOptions {
    /** The request waits: position 1 is the next of those who wait at this server. */
    onQueued?: (position: number, holder: Holder | null) => void;
}

export interface ResumeOptions
    extends HoldOptions, Pick<AskOptions, "ttlMs" | "lockDelayMs" | "signal"> {}

export interface DetachedOptions extends AskOptions {
    /**
     * 16 random bytes of yours: asking again with them is the same acquire. Default: the library's
     * own.
     */
    token?: Uint8Array;
}

/** One lock, or several that are taken all or none. */
export interface Ask extends LockOptions {
    keys: readonly string[];
}

export const TOKEN_BYTES = 16;
const KEY_BYTES_MAX = 512;
const KEYS_MAX = 16;
const DAY_MS = 86_400_000;

const NUMBERS: Record<string, number> = {
    ttlMs: DAY_MS,
    waitMs: DAY_MS,
    heartbeatMs: DAY_MS,
    graceMs: DAY_MS,
    lockDelayMs: DAY_MS,
    maxHoldMs: DAY_MS,
    limit: 1_000_000,
};
const RESUME = [
    "ttlMs",
    "lockDelayMs",
    "heartbeatMs",
    "graceMs",
    "maxHoldMs",
    "onAtRisk",
    "onLost",
    "signal",
];
const ASK = ["label", "value", "ttlMs", "waitMs", "mode", "limit", "lockDelayMs", "signal"];
const KNOWN = {
    lock: new Set([...ASK, ...RESUME, "onQueued"]),
    resume: new Set(RESUME),
    detached: new Set([...ASK, "token"]),
};

export function checkKey(key: string): void {
    if (typeof key !== "string" || key === "") {
        throw new InvalidError("key: required");
    }
    if (Buffer.byteLength(key) > KEY_BYTES_MAX) {
        throw new InvalidError(`key: longer than ${KEY_BYTES_MAX} bytes`);
    }
}

export function checkToken(token: Uint8Array): void {
    if (!(token instanceof Uint8Array) || token.length !== TOKEN_BYTES) {
        throw new InvalidError(`token: ${TOKEN_BYTES} bytes`);
    }
}

/** A negative or broken number would reach the server as another one. */
export function checkNumber(name: string, value: unknown, max = DAY_MS): void {
    if (
        value !== undefined &&
        !(Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max)
    ) {
        throw new InvalidError(`${name}: a whole number from 0 to ${max}`);
    }
}

/**
 * Bounds that the server cannot see, or that it would name less well; a misspelt option is an
 * error.
 */
export function checkOptions(options: object, kind: keyof typeof KNOWN): void {
    for (const [name, value] of Object.entries(options)) {
        if (!KNOWN[kind].has(name)) {
            throw new InvalidError(`${name}: there is no such option here`);
        }
        if (name in NUMBERS) {
            checkNumber(name, value, NUMBERS[name]);
        }
        if (name === "mode" && value !== undefined && value !== "exclusive" && value !== "shared") {
            throw new InvalidError('mode: "exclusive" or "shared"');
        }
    }
}

export function lockAsk(key: string | readonly string[], options: LockOptions): Ask {
    const keys: readonly string[] = Array.isArray(key) ? [...key] : [key];
    if (Array.isArray(key) && (keys.length < 2 || keys.length > KEYS_MAX)) {
        throw new InvalidError(`keys: 2 to ${KEYS_MAX} are allowed`);
    }
    keys.forEach(checkKey);
    checkOptions(options, "lock");
    return { ...options, keys };
}

function valueOf(value: string | Uint8Array | undefined): Buffer {
    return typeof value === "string" ? Buffer.from(value) : Buffer.from(value ?? []);
}

function asked(ask: AskOptions, waitMs: number) {
    return {
        ttlMs: ask.ttlMs ?? 0,
        label: ask.label ?? "",
        value: valueOf(ask.value),
        waitMs: Math.floor(waitMs),
        mode: ask.mode === "shared" ? "MODE_SHARED" : "MODE_EXCLUSIVE",
        limit: ask.limit ?? 0,
        lockDelayMs: ask.lockDelayMs ?? 0,
    } as const;
}

function held(ask: HoldOptions) {
    return {
        heartbeatMs: ask.heartbeatMs ?? 0,
        graceMs: ask.graceMs ?? 0,
        maxHoldMs: ask.maxHoldMs ?? 0,
    };
}

export function holdMessage(ask: Ask, waitMs: number): HoldAsk {
    const locks = ask.keys.length > 1 ? { keys: [...ask.keys] } : { key: ask.keys[0] ?? "" };
    return { ...locks, ...asked(ask, waitMs), ...held(ask) };
}

export function resumeMessage(ask: Ask, token: Uint8Array): HoldAsk {
    return {
        key: ask.keys[0] ?? "",
        ttlMs: ask.ttlMs ?? 0,
        lockDelayMs: ask.lockDelayMs ?? 0,
        ...held(ask),
        resumeToken: token,
    };
}

export function detachedMessage(
    key: string,
    token: Uint8Array,
    options: AskOptions,
    waitMs: number,
): AcquireRequest {
    return { key, token, detached: true, ...asked(options, waitMs) };
}
