// SPDX-License-Identifier: Apache-2.0
/*
 * Leader election is a lock with a value: whoever holds it leads, and shows where it can be
 * reached.
 */
import { setTimeout } from "node:timers/promises";

import { onAbort } from "./deferred";
import { AwayError, BusyError, LimitError, TimeoutError } from "./errors";
import type { Owner } from "./hold";
import type { Lease } from "./lease";
import type { LockOptions } from "./options";

/** A candidate stands for as long as it may; then again. */
const CANDIDACY_MS = 86_400_000;

/** Between two candidacies that a server which is away makes impossible. */
const PAUSE_MS = 1_000;

export interface LeadOptions extends Omit<LockOptions, "waitMs" | "mode" | "limit"> {
    /** Resigns: ends the term, if it is ours, and does not stand again. */
    signal?: AbortSignal;
}

/** What is done while a lease is held. The signal is aborted when that must stop. */
export type Work<T> = (lease: Lease, signal: AbortSignal) => Promise<T> | T;

type Lock = (options: LockOptions) => Promise<Lease>;

/** The lease of a term, or null when the lock was not to be had this time. */
async function stand(lock: Lock, options: LeadOptions, wasHeard: boolean): Promise<Lease | null> {
    try {
        return await lock({ ...options, waitMs: CANDIDACY_MS });
    } catch (error) {
        if (options.signal?.aborted || error instanceof BusyError) {
            return null;
        }
        /* A server that never answered is probably a wrong address. */
        const isAway = error instanceof AwayError || error instanceof TimeoutError;
        if (!(error instanceof LimitError || (isAway && wasHeard))) {
            throw error;
        }
        await setTimeout(PAUSE_MS, undefined, { signal: options.signal }).catch(() => {});
        return null;
    }
}

/** One term: until it ends by itself, is lost, or the leader resigns. */
async function serve<T>(lease: Lease, options: LeadOptions, work: Work<T>): Promise<T | undefined> {
    const end = new AbortController();
    const forgetLoss = onAbort(lease.signal, () => end.abort(lease.signal.reason));
    const forgetResignation = onAbort(options.signal, () => end.abort(options.signal?.reason));
    try {
        return await work(lease, end.signal);
    } catch (error) {
        if (!end.signal.aborted) {
            throw error;
        }
        return undefined;
    } finally {
        forgetLoss();
        forgetResignation();
        await lease[Symbol.asyncDispose]();
    }
}

async function terms<T>(lock: Lock, options: LeadOptions, work: Work<T>): Promise<T | undefined> {
    let wasHeard = false;
    while (!options.signal?.aborted) {
        const lease = await stand(lock, options, wasHeard);
        if (lease === null) {
            continue;
        }
        wasHeard = true;
        const result = await serve(lease, options, work);
        if (!lease.signal.aborted) {
            return result;
        }
    }
    return undefined;
}

/** Closing the client is a resignation, too. */
export async function lead<T>(
    lock: Lock,
    owner: Owner,
    options: LeadOptions,
    work: Work<T>,
): Promise<T | undefined> {
    const resignation = new AbortController();
    const closing = { abandon: () => resignation.abort(new AwayError("the client was closed")) };
    const forget = onAbort(options.signal, () => resignation.abort(options.signal?.reason));
    owner.remember(closing);
    try {
        return await terms(lock, { ...options, signal: resignation.signal }, work);
    } finally {
        forget();
        owner.forget(closing);
    }
}
