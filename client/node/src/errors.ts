// SPDX-License-Identifier: Apache-2.0
/*
 * One class of error for each thing that can go wrong. Messages are the server's words where it had
 * some.
 */
import { status, type StatusObject } from "@grpc/grpc-js";

import type { Holder } from "./holder";

export type ErrorKind =
    | "busy"
    | "not_held"
    | "invalid"
    | "away"
    | "timeout"
    | "limit"
    | "refused"
    | "deadlock"
    | "cancelled"
    | "lost";

/** What every error of this library is. `kind` tells them apart without `instanceof`. */
export abstract class HoldfastError extends Error {
    abstract readonly kind: ErrorKind;

    override get name(): string {
        return this.constructor.name;
    }
}

/** Somebody else holds the lock, still after the wait. */
export class BusyError extends HoldfastError {
    readonly kind = "busy";
    readonly holder: Holder;

    constructor(holder: Holder) {
        super(
            holder.closed
                ? "the lock is closed for a while after its holder was lost"
                : `somebody else holds the lock${holder.label ? `: ${holder.label}` : ""}`,
        );
        this.holder = holder;
    }
}

/** The lease is not (any more) yours. */
export class NotHeldError extends HoldfastError {
    readonly kind = "not_held";
}

/** An argument is out of its bounds, or makes no sense. */
export class InvalidError extends HoldfastError {
    readonly kind = "invalid";
}

/** The server, or its Redis, cannot be reached. */
export class AwayError extends HoldfastError {
    readonly kind = "away";
}

/** No answer within the timeout. */
export class TimeoutError extends HoldfastError {
    readonly kind = "timeout";
}

/** A limit is reached; the message names it. */
export class LimitError extends HoldfastError {
    readonly kind = "limit";
}

/** The server refused for another reason. */
export class RefusedError extends HoldfastError {
    readonly kind = "refused";
}

/** Waiting would close a circle, which the message spells out. */
export class DeadlockError extends HoldfastError {
    readonly kind = "deadlock";
}

/** You took the request back; `cause` is the reason of your AbortSignal. */
export class CancelledError extends HoldfastError {
    readonly kind = "cancelled";

    constructor(signal: AbortSignal) {
        super("the request was cancelled", { cause: signal.reason });
    }
}

/** Why a lease was lost. */
export type LossReason =
    /** No renewal was confirmed before its deadline. */
    | "expired"
    /** Redis says that somebody else has the lock, or deleted it. */
    | "taken"
    /** The server missed our heartbeat. */
    | "heartbeat"
    /** The server shut down. */
    | "shutdown"
    /** The connection dropped, and within a grace did not come back. */
    | "connection"
    /** It was held for its `maxHoldMs`. */
    | "max_hold"
    /** Somebody resumed it with its token. */
    | "resumed";

const LOSSES: Record<LossReason, string> = {
    expired: "no renewal was confirmed before its deadline",
    taken: "somebody else has it, or deleted it",
    heartbeat: "the server missed our heartbeat",
    shutdown: "the server shut down",
    connection: "the connection dropped",
    max_hold: "it was held for its maximum",
    resumed: "somebody resumed it with its token",
};

/** The lock is not yours any more: stop now. */
export class LeaseLostError extends HoldfastError {
    readonly kind = "lost";
    readonly key: string;
    readonly reason: LossReason;

    constructor(key: string, reason: LossReason, options?: ErrorOptions) {
        super(`the lease on "${key}" is lost: ${LOSSES[reason]}`, options);
        this.key = key;
        this.reason = reason;
    }
}

/** Of a call that failed. */
export function errorOfStatus({
    code,
    details,
}: Pick<StatusObject, "code" | "details">): HoldfastError {
    const text = details.replace(/^ask\./, "");
    switch (code) {
        case status.INVALID_ARGUMENT:
            return new InvalidError(text);
        case status.UNAVAILABLE:
            return new AwayError(text);
        case status.DEADLINE_EXCEEDED:
            return new TimeoutError("the server did not answer in time");
        case status.RESOURCE_EXHAUSTED:
            return new LimitError(text);
        case status.ABORTED:
            return new DeadlockError(text);
        case status.OK:
            return new RefusedError("the server ended the call without an answer");
        default:
            return new RefusedError(`${text} (${status[code]})`);
    }
}
