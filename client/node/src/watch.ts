// SPDX-License-Identifier: Apache-2.0
/* Who holds a lock, told at each change, also after the connection dropped and came back. */
import { status, type StatusObject } from "@grpc/grpc-js";

import type { Channel, WatchStream } from "./channel";
import { nowMs } from "./clock";
import { Deferred, onAbort } from "./deferred";
import { AwayError, errorOfStatus, type HoldfastError } from "./errors";
import type { WatchEvent__Output } from "./generated/holdfast/v1/WatchEvent";
import { type Holder, holderOf } from "./holder";

/** Until the server is asked again, when it says "not now". */
const PAUSE_MS = 250;

export type LockState =
    | { state: "free" }
    | { state: "held"; holder: Holder }
    /** Nobody holds the lock, but it stays closed for a while after its holder was lost. */
    | { state: "closed"; holder: Holder }
    /** It is not known, `error` says why; told once, and the watch goes on. */
    | { state: "unknown"; error: AwayError };

function stateOf(event: WatchEvent__Output): LockState | null {
    if (event.held) {
        const holder = holderOf(event.held);
        return { state: holder.closed ? "closed" : "held", holder };
    }
    return event.free ? { state: "free" } : null;
}

/** Keeps the newest state until it is asked for. */
export class Watcher {
    private news: LockState | null = null;
    private reader: Deferred<LockState | null> | null = null;
    private failure: HoldfastError | null = null;
    private stream: WatchStream | null = null;
    private timer: NodeJS.Timeout | undefined;
    private isUnknown = false;
    private isStopped = false;

    constructor(
        private readonly channel: Channel,
        private readonly key: string,
        private readonly onEnd: (watcher: Watcher) => void,
    ) {
        void this.connect();
    }

    /**
     * The next state; null once the watch was stopped. Throws when the server refuses to be asked.
     */
    async next(): Promise<LockState | null> {
        if (this.news === null && this.failure === null && !this.isStopped) {
            this.reader = new Deferred();
            return this.reader.promise;
        }
        const { news } = this;
        this.news = null;
        if (news === null && this.failure !== null) {
            throw this.failure;
        }
        return this.isStopped ? null : news;
    }

    /** Ends the watch. */
    abandon(): void {
        if (!this.isStopped) {
            this.isStopped = true;
            clearTimeout(this.timer);
            this.stream?.cancel();
            this.reader?.resolve(null);
            this.onEnd(this);
        }
    }

    private tell(news: LockState): void {
        this.isUnknown = news.state === "unknown";
        if (this.reader !== null) {
            this.reader.resolve(news);
            this.reader = null;
        } else {
            this.news = news;
        }
    }

    private tellUnknown(error: AwayError): void {
        if (!this.isUnknown && !this.isStopped) {
            this.tell({ state: "unknown", error });
        }
    }

    private async connect(): Promise<void> {
        while (!this.isStopped && this.stream === null) {
            try {
                await this.channel.ready(nowMs() + this.channel.timeoutMs);
                this.open();
            } catch (error) {
                if (!(error instanceof AwayError)) {
                    this.fail(error as HoldfastError);
                    return;
                }
                this.tellUnknown(error);
            }
        }
    }

    private open(): void {
        if (this.isStopped) {
            return;
        }
        const stream = this.channel.watch(this.key);
        this.stream = stream;
        this.setTimer(this.channel.timeoutMs, () =>
            this.tellUnknown(
                new AwayError("the server did not answer in time; perhaps its Redis is away"),
            ),
        );
        stream.on("data", (event: WatchEvent__Output) => {
            const state = stateOf(event);
            if (state !== null && !this.isStopped) {
                clearTimeout(this.timer);
                this.tell(state);
            }
        });
        stream.on("error", () => {}); /* the status says the same */
        stream.on("status", (end: StatusObject) => this.takeEnd(end));
    }

    private setTimer(delayMs: number, run: () => void): void {
        clearTimeout(this.timer);
        this.timer = setTimeout(run, delayMs);
    }

    private takeEnd(end: StatusObject): void {
        this.stream = null;
        if (this.isStopped) {
            return;
        }
        if (end.code === status.OK || end.code === status.UNAVAILABLE) {
            this.tellUnknown(new AwayError(end.details || "the server ended the watch"));
            this.setTimer(PAUSE_MS, () => void this.connect());
        } else {
            this.fail(errorOfStatus(end));
        }
    }

    private fail(error: HoldfastError): void {
        this.failure = error;
        clearTimeout(this.timer);
        this.reader?.reject(error);
        this.reader = null;
        this.onEnd(this);
    }
}

/** The states that a watcher tells, until the signal is aborted. */
export async function* states(
    watcher: Watcher,
    signal: AbortSignal | undefined,
): AsyncGenerator<LockState, void, void> {
    const forget = onAbort(signal, () => watcher.abandon());
    try {
        for (let state = await watcher.next(); state !== null; state = await watcher.next()) {
            yield state;
        }
    } finally {
        forget();
        watcher.abandon();
    }
}
