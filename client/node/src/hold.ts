// SPDX-License-Identifier: Apache-2.0
/*
 * A lease that is held: keeps it alive with pings, notices its end, gives it up.
 *
 *     held -> releasing -> ended    given up
 *     held <-> resuming             the connection dropped, within the grace
 *     held, resuming -> ended       lost
 *
 * The deadline counts from the moment a ping was sent. It is looked at before anything the server
 * says, so a process that was stopped believes no answer that waited for it meanwhile.
 */
import { status, type StatusObject } from "@grpc/grpc-js";

import type { Channel } from "./channel";
import { nowMs } from "./clock";
import { Deferred, tell } from "./deferred";
import {
    AwayError,
    errorOfStatus,
    type HoldfastError,
    LeaseLostError,
    LimitError,
    type LossReason,
} from "./errors";
import { NotHeldError, TimeoutError } from "./errors";
import type { HoldEvent__Output } from "./generated/holdfast/v1/HoldEvent";
import type { Lease__Output } from "./generated/holdfast/v1/Lease";
import { type CallOwner, HoldCall } from "./hold_call";
import { Lease } from "./lease";
import { type Ask, resumeMessage } from "./options";
import type { Pings } from "./pings";
import type { Term } from "./term";

/** Between two attempts to resume that the server answers with "not now". */
const PAUSE_MS = 100;

const REASONS: Record<string, LossReason> = {
    REASON_EXPIRED: "expired",
    REASON_TAKEN: "taken",
    REASON_HEARTBEAT_MISSED: "heartbeat",
    REASON_SHUTDOWN: "shutdown",
    REASON_MAX_HOLD: "max_hold",
    REASON_RESUMED: "resumed",
};

/** The server may answer otherwise in a while. */
const PASSING = new Set([
    status.OK,
    status.UNAVAILABLE,
    status.RESOURCE_EXHAUSTED,
    status.DEADLINE_EXCEEDED,
]);

/** The client, as questions and holds see it. */
export interface Owner {
    /** Closing the client ends what it remembers. */
    remember(part: { abandon(): void }): void;
    forget(part: { abandon(): void }): void;
    /** Gives a lease up by its token, whoever holds it. */
    release(key: string, token: Uint8Array): Promise<void>;
}

interface Parts {
    channel: Channel;
    ask: Ask;
    owner: Owner;
    term: Term;
    /** May have one that confirms the grant. */
    pings: Pings;
}

export class Hold implements CallOwner {
    readonly lease: Lease;
    private state: "held" | "resuming" | "releasing" | "ended" = "held";
    private isConnecting = false;
    private timer: NodeJS.Timeout | undefined;
    private released: Promise<void> | null = null;
    private readonly loss = new AbortController();
    private readonly letGo = new Deferred<void>();

    constructor(
        private readonly parts: Parts,
        private call: HoldCall | null,
        granted: Lease__Output,
    ) {
        this.lease = new Lease(granted, this, this.loss.signal);
    }

    start(now: number): void {
        this.parts.owner.remember(this);
        if (this.call !== null) {
            this.call.owner = this;
        }
        this.planPing(now);
    }

    get ttlMs(): number {
        return this.parts.term.ttlMs;
    }

    get validForMs(): number {
        return Math.max(Math.floor(this.parts.term.leftMs(nowMs())), 0);
    }

    private get isHeld(): boolean {
        return this.state === "held" || this.state === "resuming";
    }

    /** False when the lease's time has run out; it is lost then. */
    private isInTime(now: number): boolean {
        const { term } = this.parts;
        if (!this.isHeld || term.leftMs(now) > 0) {
            return true;
        }
        if (this.state === "resuming") {
            this.lose("connection");
        } else {
            this.lose(term.isLast ? "max_hold" : "expired");
        }
        return false;
    }

    // ---- Pings and the timer

    private planPing(now: number): void {
        this.parts.term.planPing(now);
        this.setTimer(now);
    }

    private setTimer(now: number): void {
        clearTimeout(this.timer);
        this.timer = setTimeout(
            () => this.onTimer(nowMs()),
            Math.ceil(this.parts.term.delayMs(now)),
        );
    }

    private onTimer(now: number): void {
        const { term } = this.parts;
        if (!this.isInTime(now)) {
            return;
        }
        if (term.leftMs(now) <= term.atRiskMs) {
            this.warn(now);
        }
        if (term.isPingDue(now) && this.state === "resuming") {
            this.resume(now);
        } else if (term.isPingDue(now)) {
            this.ping(now);
            term.planPing(now);
        }
        this.setTimer(now);
    }

    private warn(now: number): void {
        if (this.parts.term.warns()) {
            tell(this.parts.ask.onAtRisk, Math.max(Math.floor(this.parts.term.leftMs(now)), 0));
        }
    }

    /** While the connection is away, a ping only waits for it. */
    private ping(now: number, waiter?: Deferred<number>): boolean {
        const isTaken = this.parts.pings.add(now, waiter);
        if (isTaken && this.state === "held") {
            this.call?.ping();
        }
        return isTaken;
    }

    private takeRenewed(validForMs: number, now: number): void {
        const ping = this.state === "held" ? this.parts.pings.take() : undefined;
        if (ping === undefined) {
            return;
        }
        this.parts.term.confirm(ping.sentMs, validForMs, now);
        if (this.isInTime(now)) {
            ping.waiter?.resolve(this.validForMs);
            this.planPing(now);
        } else {
            ping.waiter?.reject(new NotHeldError("the lease was lost"));
        }
    }

    renew(): Promise<number> {
        const now = nowMs();
        const waiter = new Deferred<number>();
        if (!this.isInTime(now) || !this.isHeld) {
            waiter.reject(new NotHeldError("the lease was lost or released before"));
        } else if (!this.ping(now, waiter)) {
            waiter.reject(new LimitError("too many renewals wait for the server"));
        } else {
            const late = () => waiter.reject(new TimeoutError("the server did not answer in time"));
            const timer = setTimeout(late, this.parts.channel.timeoutMs);
            const stop = () => clearTimeout(timer);
            waiter.promise.then(stop, stop);
        }
        return waiter.promise;
    }

    // ---- Resuming

    /**
     * The server began to count the grace when it noticed, which may have been before us; but it
     * cannot have let the lock go before the deadline that it confirmed itself, unless the grace is
     * shorter.
     */
    private beginResuming(now: number): void {
        this.state = "resuming";
        this.parts.term.limit(now + (this.parts.ask.graceMs ?? 0));
        this.parts.pings.dropIdle();
        this.resume(now);
        this.setTimer(now);
    }

    private resume(now: number): void {
        this.parts.term.postponePing(now, PAUSE_MS);
        if (this.call === null && !this.isConnecting) {
            this.isConnecting = true;
            void this.connect(now + this.parts.term.leftMs(now));
        }
    }

    private async connect(untilMs: number): Promise<void> {
        const { channel, ask } = this.parts;
        try {
            await channel.ready(untilMs);
            if (this.state === "resuming") {
                this.call = new HoldCall(channel, resumeMessage(ask, this.lease.token), this);
            }
        } catch {
            /* The lease's own time ends it. */
        } finally {
            this.isConnecting = false;
        }
    }

    /** Ours again, with the fence it had: whoever waited for news of it has them. */
    private takeResumed(message: Lease__Output, now: number): void {
        if (message.fence !== this.lease.fence) {
            this.lose("connection");
            return;
        }
        this.parts.term.restore(this.call?.askedMs ?? 0, message.validForMs, message.ttlMs, now);
        if (this.isInTime(now)) {
            this.state = "held";
            this.parts.pings.resolveAll(this.validForMs);
            this.planPing(now);
        }
    }

    // ---- The end

    private lose(reason: LossReason, cause?: Error): void {
        const error = new LeaseLostError(this.lease.key, reason, cause && { cause });
        this.end();
        this.loss.abort(error);
        tell(this.parts.ask.onLost, error);
    }

    /** Nothing is held from here on, and the server hears that the lease is given up. */
    private end(): void {
        this.state = "ended";
        clearTimeout(this.timer);
        this.parts.term.end();
        this.parts.pings.rejectAll(new NotHeldError("the lease ended"));
        this.call?.leave();
        this.call = null;
        this.parts.owner.forget(this);
    }

    release(): Promise<void> {
        this.released ??= this.beginRelease();
        return this.released;
    }

    private beginRelease(): Promise<void> {
        if (!this.isInTime(nowMs()) || !this.isHeld) {
            return Promise.reject(new NotHeldError("the lease was lost before"));
        }
        if (this.call === null) {
            this.end(); /* the server may still have the lease for its grace */
            return this.parts.owner.release(this.lease.key, this.lease.token);
        }
        this.state = "releasing";
        this.parts.term.end();
        this.parts.pings.rejectAll(new NotHeldError("the lease is being released"));
        clearTimeout(this.timer);
        const late = () =>
            this.finishRelease(new TimeoutError("the server did not answer in time"));
        this.timer = setTimeout(late, this.parts.channel.timeoutMs);
        this.call.finish();
        return this.letGo.promise;
    }

    private finishRelease(error?: HoldfastError): void {
        this.end();
        if (error === undefined) {
            this.letGo.resolve();
        } else {
            this.letGo.reject(error);
        }
    }

    /** The client is being closed. */
    abandon(): void {
        const error = new AwayError("the client was closed");
        if (this.isHeld) {
            this.lose("connection", error);
        } else {
            this.finishRelease(error);
        }
    }

    // ---- What the server says

    take(event: HoldEvent__Output): void {
        const now = nowMs();
        if (!this.isInTime(now)) {
            return;
        }
        if (event.renewed) {
            this.takeRenewed(event.renewed.validForMs, now);
        } else if (event.atRisk && this.state === "held") {
            this.warn(now);
        } else if (event.granted && this.state === "resuming") {
            this.takeResumed(event.granted, now);
        } else if (event.lost) {
            this.takeLost(REASONS[event.lost.reason] ?? "connection");
        } else if (event.busy && this.state === "releasing") {
            this.finishRelease(new NotHeldError("the lease had ended before"));
        } else if (event.released && this.state === "releasing") {
            this.finishRelease();
        }
    }

    private takeLost(reason: LossReason): void {
        if (this.isHeld) {
            this.lose(reason);
        } else {
            this.finishRelease(new NotHeldError("the lease was lost before it could be released"));
        }
    }

    takeEnd(end: StatusObject): void {
        const now = nowMs();
        this.call = null;
        if (this.state === "releasing") {
            this.finishRelease(errorOfStatus(end));
        } else if (!this.isInTime(now)) {
            return;
        } else if (this.state === "resuming" && PASSING.has(end.code)) {
            this.parts.term.postponePing(now, PAUSE_MS);
            this.setTimer(now);
        } else if (this.state === "held" && this.parts.ask.graceMs) {
            this.beginResuming(now);
        } else {
            this.lose("connection");
        }
    }
}
