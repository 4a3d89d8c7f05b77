// SPDX-License-Identifier: Apache-2.0
/* One Hold stream, from its question to its status. */
import type { StatusObject } from "@grpc/grpc-js";

import type { Channel, HoldStream } from "./channel";
import { nowMs } from "./clock";
import type { HoldAsk } from "./generated/holdfast/v1/HoldAsk";
import type { HoldEvent__Output } from "./generated/holdfast/v1/HoldEvent";

/** Who hears what the server says. */
export interface CallOwner {
    take(event: HoldEvent__Output): void;
    /** The last thing that is heard. */
    takeEnd(end: StatusObject): void;
}

export class HoldCall {
    readonly askedMs: number;
    private readonly stream: HoldStream;

    constructor(
        private readonly channel: Channel,
        ask: HoldAsk,
        public owner: CallOwner | null,
    ) {
        this.stream = channel.hold();
        this.stream.on("data", (event: HoldEvent__Output) => this.owner?.take(event));
        this.stream.on("error", () => {}); /* the status says the same */
        this.stream.on("status", (end: StatusObject) => this.owner?.takeEnd(end));
        this.askedMs = nowMs();
        this.stream.write({ ask });
    }

    ping(): void {
        this.stream.write({ ping: {} });
    }

    /**
     * Closes our side, which gives up what is held or may still be obtained; the owner hears the
     * answer.
     */
    finish(): void {
        this.stream.end();
    }

    /** As `finish`, for an owner that listens no more. */
    leave(): void {
        this.owner = null;
        this.channel.leave(this.stream);
    }
}
