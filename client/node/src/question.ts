// SPDX-License-Identifier: Apache-2.0
/*
 * The question for a lease, until it is answered: it waits, asks again when the connection drops
 * meanwhile, and hands what is granted to a Hold.
 *
 *     asking -> ended                  answered, with a lease or an error
 *     asking -> confirming -> ended    granted so long after the last thing we know that a ping must
 *                                      tell whether it still counts
 */
import { status, type StatusObject } from "@grpc/grpc-js";

import type { Channel } from "./channel";
import { nowMs } from "./clock";
import { Deferred, onAbort, tell } from "./deferred";
import {
    AwayError,
    BusyError,
    CancelledError,
    errorOfStatus,
    type HoldfastError,
    NotHeldError,
    RefusedError,
    TimeoutError,
} from "./errors";
import type { HoldAsk } from "./generated/holdfast/v1/HoldAsk";
import type { HoldEvent__Output } from "./generated/holdfast/v1/HoldEvent";
import type { HoldQueued__Output } from "./generated/holdfast/v1/HoldQueued";
import type { Lease__Output } from "./generated/holdfast/v1/Lease";
import { Hold, type Owner } from "./hold";
import { type CallOwner, HoldCall } from "./hold_call";
import { holderOf } from "./holder";
import type { Lease } from "./lease";
import { type Ask, holdMessage, resumeMessage } from "./options";
import { Pings } from "./pings";
import { Term } from "./term";

/** Until the channel knows that its connection dropped. */
const PAUSE_MS = 100;

export class Question implements CallOwner {
    private state: "asking" | "confirming" | "ended" = "asking";
    private call: HoldCall | null = null;
    private timer: NodeJS.Timeout | undefined;
    private waitUntilMs = 0;
    private askedMs = 0;
    private wasQueued = false;
    private granted: Lease__Output | null = null;
    private term!: Term;
    private forgetSignal = () => {};
    private readonly pings = new Pings();
    private readonly answer = new Deferred<Lease>();

    /** `resumed`: the token of the lease to resume, instead of asking for a new one. */
    constructor(
        private readonly channel: Channel,
        private readonly ask: Ask,
        private readonly owner: Owner,
        private readonly resumed: Buffer | null,
    ) {}

    /** The lease, or why there is none. */
    start(): Promise<Lease> {
        const { signal } = this.ask;
        this.forgetSignal = onAbort(signal, () =>
            this.refuse(new CancelledError(signal as AbortSignal)),
        );
        void this.connect();
        return this.answer.promise;
    }

    /** The client is being closed. */
    abandon(): void {
        this.refuse(new AwayError("the client was closed"));
    }

    private async connect(): Promise<void> {
        try {
            await this.channel.ready(nowMs() + this.channel.timeoutMs);
            if (this.state === "asking") {
                this.call = new HoldCall(this.channel, this.message(), this);
                this.askedMs = this.call.askedMs;
                this.setTimer(Math.max(this.waitUntilMs - this.askedMs, 0));
            }
        } catch (error) {
            this.refuse(error as HoldfastError);
        }
    }

    /** The wait begins when the server hears of it first. */
    private message(): HoldAsk {
        if (this.resumed !== null) {
            return resumeMessage(this.ask, this.resumed);
        }
        const now = nowMs();
        this.waitUntilMs ||= now + (this.ask.waitMs ?? 0);
        return holdMessage(this.ask, Math.max(this.waitUntilMs - now, 0));
    }

    /** The timeout for an answer counts on top of the wait. */
    private setTimer(waitMs: number): void {
        clearTimeout(this.timer);
        this.timer = setTimeout(
            () => {
                const isUp = this.channel.isUp;
                this.refuse(
                    isUp
                        ? new TimeoutError("the server did not answer in time")
                        : new AwayError("no connection"),
                );
            },
            Math.ceil(waitMs + this.channel.timeoutMs),
        );
    }

    private end(): void {
        this.state = "ended";
        clearTimeout(this.timer);
        this.forgetSignal();
        this.owner.forget(this);
    }

    /**
     * There is no lease for the application; the question, or a grant that nobody has seen, is
     * taken back.
     */
    private refuse(error: HoldfastError): void {
        if (this.state === "ended") {
            return;
        }
        this.end();
        if (this.call !== null) {
            this.call.leave();
        } else if (this.granted !== null && this.ask.graceMs) {
            this.owner
                .release(this.granted.key, this.granted.token)
                .catch(() => {}); /* its ttl ends it, too */
        }
        this.answer.reject(error);
    }

    take(event: HoldEvent__Output): void {
        if (event.queued) {
            this.takeQueued(event.queued);
        } else if (event.granted && this.state === "asking") {
            this.takeGranted(event.granted, nowMs());
        } else if (event.renewed && this.state === "confirming") {
            this.takeRenewed(event.renewed.validForMs, nowMs());
        } else if (event.busy) {
            this.refuse(new BusyError(holderOf(event.busy)));
        } else if (event.lost) {
            this.refuse(
                new NotHeldError(
                    this.resumed ? "the lease has ended meanwhile" : "the lease was lost at once",
                ),
            );
        }
    }

    private takeQueued({ position, holder }: HoldQueued__Output): void {
        this.wasQueued = true;
        tell(this.ask.onQueued, position, holder === null ? null : holderOf(holder));
    }

    private takeGranted(message: Lease__Output, now: number): void {
        if (!this.isSensible(message)) {
            this.refuse(new RefusedError("the server's grant makes no sense"));
            return;
        }
        const { heartbeatMs = 0, maxHoldMs = 0, waitMs = 0 } = this.ask;
        this.granted = message;
        this.term = new Term({
            ttlMs: message.ttlMs,
            heartbeatMs,
            maxHoldMs,
            grantedMs: now,
        });
        this.term.confirm(this.askedMs, message.validForMs, now);
        if (waitMs > 0) {
            this.confirm(now);
        } else if (this.term.leftMs(now) > 0) {
            this.settle(now);
        } else {
            this.refuse(new TimeoutError("the lease had expired when its grant was read"));
        }
    }

    private isSensible(message: Lease__Output): boolean {
        const isWhole = this.ask.keys.length === 1 || message.locks.length === this.ask.keys.length;
        return (
            message.fence > 0 &&
            isWhole &&
            (this.resumed === null || message.token.equals(this.resumed))
        );
    }

    /**
     * After a wait the grant may be as old as the question, for a process that was frozen reads what
     * came long ago. Where much is left, nobody waits for the ping.
     */
    private confirm(now: number): void {
        this.state = "confirming";
        this.pings.add(now);
        this.call?.ping();
        if (this.term.leftMs(now) > 2 * this.term.atRiskMs) {
            this.settle(now);
        } else {
            this.setTimer(0);
        }
    }

    private takeRenewed(validForMs: number, now: number): void {
        this.term.confirm(this.pings.take()?.sentMs ?? 0, validForMs, now);
        if (this.term.leftMs(now) > 0) {
            this.settle(now);
        } else {
            this.refuse(new TimeoutError("the lease had expired when its grant was confirmed"));
        }
    }

    /** The lease is the application's. */
    private settle(now: number): void {
        const { channel, ask, owner, call, term, pings, granted } = this;
        this.end();
        const hold = new Hold(
            { channel, ask, owner, term, pings },
            call as HoldCall,
            granted as Lease__Output,
        );
        hold.start(now);
        this.answer.resolve(hold.lease);
    }

    takeEnd(end: StatusObject): void {
        this.call = null;
        if (this.asksAgain(end)) {
            this.wasQueued = false;
            clearTimeout(this.timer);
            this.timer = setTimeout(() => void this.connect(), PAUSE_MS);
        } else {
            this.refuse(errorOfStatus(end));
        }
    }

    /** Nothing is held, so whoever waits may ask anew with what is left of the wait. */
    private asksAgain(end: StatusObject): boolean {
        const isWaiting = this.state === "asking" && this.wasQueued && nowMs() < this.waitUntilMs;
        return isWaiting && end.code === status.UNAVAILABLE;
    }
}
