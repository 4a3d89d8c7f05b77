// SPDX-License-Identifier: Apache-2.0
/*
 * The connection to one server, made again whenever it drops. A channel has a connection of its
 * own, for leases belong to connections.
 */
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";

import {
    type CallOptions,
    type ClientDuplexStream,
    type ClientReadableStream,
    type ClientUnaryCall,
    connectivityState,
    loadPackageDefinition,
    Metadata,
    type requestCallback,
    status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

import {
    type Address,
    credentialsFor,
    parseAddress,
    serverOr,
    type TlsFiles,
    tlsOptions,
} from "./address";
import { nowMs } from "./clock";
import { onAbort } from "./deferred";
import { AwayError, CancelledError, errorOfStatus } from "./errors";
import type { HealthClient } from "./generated/grpc/health/v1/Health";
import type { ProtoGrpcType as HealthTypes } from "./generated/health";
import type { HoldEvent__Output } from "./generated/holdfast/v1/HoldEvent";
import type { HoldRequest } from "./generated/holdfast/v1/HoldRequest";
import type { LocksClient } from "./generated/holdfast/v1/Locks";
import type { WatchEvent__Output } from "./generated/holdfast/v1/WatchEvent";
import type { ProtoGrpcType } from "./generated/locks";
import { checkNumber } from "./options";

/** How to reach the server. */
export interface ClientOptions extends TlsFiles {
    /**
     * "unix:///path", "tcp://host:port" or "tls://host:port". Default: $HOLDFAST_SERVER, else
     * tcp://127.0.0.1:7420.
     */
    server?: string;
    /** For connecting and for each answer. Default: 5000. */
    timeoutMs?: number;
    /** Sent as `authorization: Bearer ...` with every call; a function is asked each time. */
    authToken?: string | (() => string);
}

export type HoldStream = ClientDuplexStream<HoldRequest, HoldEvent__Output>;
export type WatchStream = ClientReadableStream<WatchEvent__Output>;

/** Starts a unary call with what every call has. */
export type Start<A> = (
    metadata: Metadata,
    options: CallOptions,
    callback: requestCallback<A>,
) => ClientUnaryCall;

const CHANNEL_OPTIONS = {
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2_000,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_retries": 0,
};
const TIMEOUT_MS = 5_000;
const EXPLAIN_MS = 200;

/* What the generated types stand for: see "generate" in package.json. */
export const protocol = loadPackageDefinition(
    loadSync(["holdfast/v1/locks.proto", "grpc/health/v1/health.proto"], {
        includeDirs: [join(__dirname, "..", "..", "proto")],
        longs: Number,
        enums: String,
        defaults: true,
        oneofs: true,
    }),
) as unknown as ProtoGrpcType & HealthTypes;

function dateOf(deadlineMs: number): Date {
    return new Date(Date.now() + Math.max(deadlineMs - nowMs(), 1));
}

export class Channel {
    readonly timeoutMs: number;
    readonly locks: LocksClient;
    readonly health: HealthClient;
    private readonly address: Address;
    private readonly authToken: ClientOptions["authToken"];
    private readonly leaving = new Set<Promise<void>>();
    private isClosed = false;

    constructor(options: ClientOptions) {
        checkNumber("timeoutMs", options.timeoutMs);
        this.timeoutMs = options.timeoutMs || TIMEOUT_MS;
        this.authToken = options.authToken;
        this.address = parseAddress(serverOr(options.server));
        const credentials = credentialsFor(this.address, options);
        this.locks = new protocol.holdfast.v1.Locks(this.address.target, credentials, {
            ...CHANNEL_OPTIONS,
            ...tlsOptions(this.address),
        });
        this.health = new protocol.grpc.health.v1.Health(this.address.target, credentials, {
            channelOverride: this.locks.getChannel(),
        });
    }

    /** Whether a connection stands, as far as we know. */
    get isUp(): boolean {
        return (
            !this.isClosed &&
            this.locks.getChannel().getConnectivityState(false) === connectivityState.READY
        );
    }

    /** Waits for a connection. Throws AwayError when there is none by then. */
    async ready(deadlineMs: number): Promise<void> {
        if (this.isClosed) {
            throw new AwayError("the client is closed");
        }
        if (this.isUp) {
            return;
        }
        const failed = await new Promise<Error | undefined>((resolve) => {
            this.locks.waitForReady(dateOf(deadlineMs), resolve);
        });
        if (failed !== undefined) {
            throw this.isClosed ? new AwayError("the client is closed") : await this.whyAway();
        }
    }

    /** gRPC tells what is wrong with a connection only to a call that does not wait for it. */
    private whyAway(): Promise<AwayError> {
        return new Promise((resolve) => {
            const options = { deadline: new Date(Date.now() + EXPLAIN_MS) };
            this.locks.inspect({ key: "" }, new Metadata(), options, (error) => {
                const why = error?.code === status.UNAVAILABLE ? `: ${error.details}` : "";
                resolve(new AwayError(`no connection to ${this.address.text}${why}`));
            });
        });
    }

    private metadata(): Metadata {
        const metadata = new Metadata({ waitForReady: true });
        const token = typeof this.authToken === "function" ? this.authToken() : this.authToken;
        if (token !== undefined) {
            metadata.set("authorization", `Bearer ${token}`);
        }
        return metadata;
    }

    /** One question, one answer. Throws a HoldfastError. */
    async ask<A>(deadlineMs: number, start: Start<A>, signal?: AbortSignal): Promise<A> {
        await this.ready(deadlineMs);
        return new Promise((resolve, reject) => {
            const call = start(
                this.metadata(),
                { deadline: dateOf(deadlineMs) },
                (error, answer) => {
                    stop();
                    if (signal?.aborted) {
                        reject(new CancelledError(signal));
                    } else if (error !== null || answer === undefined) {
                        reject(
                            errorOfStatus(error ?? { code: status.INTERNAL, details: "no answer" }),
                        );
                    } else {
                        resolve(answer);
                    }
                },
            );
            const stop = onAbort(signal, () => call.cancel());
        });
    }

    /** For what may be asked twice: when the connection drops before the answer, asks again. */
    async settle<A>(deadlineMs: () => number, start: Start<A>, signal?: AbortSignal): Promise<A> {
        for (;;) {
            let wasSent = false;
            try {
                return await this.ask(
                    deadlineMs(),
                    (...call) => {
                        wasSent = true;
                        return start(...call);
                    },
                    signal,
                );
            } catch (error) {
                /* In a moment the channel knows whether its connection dropped. */
                await setImmediate();
                if (!(error instanceof AwayError) || !wasSent || this.isUp || this.isClosed) {
                    throw error;
                }
            }
        }
    }

    hold(): HoldStream {
        return this.locks.hold(this.metadata());
    }

    watch(key: string): WatchStream {
        return this.locks.watch({ key }, this.metadata());
    }

    /**
     * Ends a stream that nobody listens to any more by closing our side of it, so that whatever it
     * holds or may still obtain is given up. (A cancelled stream is a dropped one: its lease would
     * live on for its grace.)
     */
    leave(stream: HoldStream): void {
        if (!this.isUp) {
            stream.cancel(); /* the server knows nothing of it any more, or nothing yet */
            return;
        }
        const left = new Promise<void>((resolve) => {
            const timer = setTimeout(() => stream.cancel(), this.timeoutMs);
            stream.once("status", () => {
                clearTimeout(timer);
                resolve();
            });
        });
        this.leaving.add(left);
        void left.then(() => this.leaving.delete(left));
        stream.end();
    }

    /** After the streams that were left have ended. */
    async close(): Promise<void> {
        this.isClosed = true;
        await Promise.all(this.leaving);
        this.locks.close();
    }
}
