// SPDX-License-Identifier: Apache-2.0
/** A promise that somebody else settles. Settling it again changes nothing. */
export class Deferred<T> {
    readonly promise: Promise<T>;
    resolve!: (value: T) => void;
    reject!: (error: Error) => void;

    constructor() {
        this.promise = new Promise((resolve, reject) => {
            this.resolve = resolve;
            this.reject = reject;
        });
    }
}

/**
 * Calls back after the library has finished what it is at, so that what is thrown there harms
 * nobody.
 */
export function tell<A extends unknown[]>(
    callback: ((...told: A) => void) | undefined,
    ...told: A
): void {
    if (callback !== undefined) {
        queueMicrotask(() => callback(...told));
    }
}

/** Runs `stop` when the signal is aborted, now if it is. Returns what ends that. */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): () => void {
    if (signal === undefined) {
        return () => {};
    }
    if (signal.aborted) {
        stop();
        return () => {};
    }
    signal.addEventListener("abort", stop, { once: true });
    return () => signal.removeEventListener("abort", stop);
}
