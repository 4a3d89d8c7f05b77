// SPDX-License-Identifier: Apache-2.0
/* A server that says what a test tells it to, over real gRPC on a unix socket. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

import * as grpc from "@grpc/grpc-js";

import { protocol } from "../src/channel";
import { Client } from "../src/index";
import type { ClientOptions } from "../src/index";
import type { HealthCheckResponse } from "../src/generated/grpc/health/v1/HealthCheckResponse";
import type { AcquireRequest__Output } from "../src/generated/holdfast/v1/AcquireRequest";
import type { AcquireResponse } from "../src/generated/holdfast/v1/AcquireResponse";
import type { HoldAsk__Output } from "../src/generated/holdfast/v1/HoldAsk";
import type { HoldEvent } from "../src/generated/holdfast/v1/HoldEvent";
import type { HoldRequest__Output } from "../src/generated/holdfast/v1/HoldRequest";
import type { InspectResponse } from "../src/generated/holdfast/v1/InspectResponse";
import type { Lease } from "../src/generated/holdfast/v1/Lease";
import type { ReleaseRequest__Output } from "../src/generated/holdfast/v1/ReleaseRequest";
import type { ReleaseResponse } from "../src/generated/holdfast/v1/ReleaseResponse";
import type { RenewResponse } from "../src/generated/holdfast/v1/RenewResponse";
import type { WatchEvent } from "../src/generated/holdfast/v1/WatchEvent";

export const TOKEN = Buffer.alloc(16, 7);

/** What has not come yet is waited for. */
class Mailbox<T> {
    private readonly items: T[] = [];
    private readonly readers: ((item: T) => void)[] = [];

    put(item: T): void {
        const reader = this.readers.shift();
        if (reader) {
            reader(item);
        } else {
            this.items.push(item);
        }
    }

    take(): Promise<T> {
        return this.items.length > 0
            ? Promise.resolve(this.items.shift() as T)
            : new Promise((resolve) => this.readers.push(resolve));
    }

    get count(): number {
        return this.items.length;
    }
}

/** One Hold stream, as the server has it. */
export class FakeHold {
    readonly pings = new Mailbox<true>();
    readonly halfClose: Promise<void>;
    readonly ask: Promise<HoldAsk__Output>;
    readonly metadata: grpc.Metadata;

    constructor(private readonly call: grpc.ServerDuplexStream<HoldRequest__Output, HoldEvent>) {
        this.metadata = call.metadata;
        /*
         * A call that is cancelled ends as well, a moment before we hear why; but a grace would
         * outlive it.
         */
        this.halfClose = new Promise((resolve, reject) => {
            call.once("end", () => setImmediate(resolve));
            call.once("cancelled", () => reject(new Error("cancelled before its side was closed")));
        });
        this.halfClose.catch(() => {});
        this.ask = new Promise((resolve) => {
            call.on("data", ({ ask, ping }: HoldRequest__Output) =>
                ask ? resolve(ask) : ping && this.pings.put(true),
            );
        });
    }

    say(event: HoldEvent): void {
        this.call.write(event);
    }

    grant(lease: Lease = {}): void {
        this.say({
            granted: {
                key: "k",
                token: TOKEN,
                fence: 7,
                ttlMs: 10_000,
                validForMs: 9_000,
                ...lease,
            },
        });
    }

    end(): void {
        this.call.end();
    }

    fail(code: grpc.status, details: string): void {
        this.call.emit("error", { code, details });
    }

    /** Acknowledges a release. */
    async acknowledge(): Promise<void> {
        await this.halfClose;
        this.say({ released: {} });
        this.end();
    }
}

type Answer<T> = (answer: T) => void;

export class FakeServer {
    readonly holds = new Mailbox<FakeHold>();
    readonly watches = new Mailbox<grpc.ServerWritableStream<unknown, WatchEvent>>();
    readonly acquires = new Mailbox<{
        request: AcquireRequest__Output;
        answer: Answer<AcquireResponse>;
    }>();
    readonly releases = new Mailbox<ReleaseRequest__Output>();
    inspected: InspectResponse = { free: {} };
    renewed: RenewResponse = { notHeld: {} };
    released: ReleaseResponse = { outcome: "OUTCOME_RELEASED" };
    health: HealthCheckResponse = { status: "SERVING" };
    private readonly directory = mkdtempSync(join(tmpdir(), "holdfast-"));
    private readonly clients: Client[] = [];
    private readonly sockets = new Set<Socket>();
    private listener: Server | undefined;

    get url(): string {
        return `unix://${this.directory}/server.sock`;
    }

    async start(): Promise<void> {
        const server = new grpc.Server();
        server.addService(protocol.holdfast.v1.Locks.service, {
            acquire: (
                { request }: { request: AcquireRequest__Output },
                callback: grpc.sendUnaryData<AcquireResponse>,
            ) => this.acquires.put({ request, answer: (answer) => callback(null, answer) }),
            renew: (_: unknown, callback: grpc.sendUnaryData<RenewResponse>) =>
                callback(null, this.renewed),
            release: (
                { request }: { request: ReleaseRequest__Output },
                callback: grpc.sendUnaryData<ReleaseResponse>,
            ) => {
                this.releases.put(request);
                callback(null, this.released);
            },
            resume: (_: unknown, callback: grpc.sendUnaryData<never>) =>
                callback({ code: grpc.status.UNIMPLEMENTED }),
            inspect: (_: unknown, callback: grpc.sendUnaryData<InspectResponse>) =>
                callback(null, this.inspected),
            watch: (call: grpc.ServerWritableStream<unknown, WatchEvent>) => this.watches.put(call),
            hold: (call: grpc.ServerDuplexStream<HoldRequest__Output, HoldEvent>) =>
                this.holds.put(new FakeHold(call)),
        });
        server.addService(protocol.grpc.health.v1.Health.service, {
            check: (_: unknown, callback: grpc.sendUnaryData<HealthCheckResponse>) =>
                callback(null, this.health),
        });
        const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
        this.listener = createServer((socket) => {
            this.sockets.add(socket.once("close", () => this.sockets.delete(socket)));
            injector.injectConnection(socket);
        });
        this.listener.listen(this.url.slice("unix://".length));
        await once(this.listener, "listening");
    }

    /** Drops every connection, as the death of a server does. */
    kill(): void {
        this.listener?.close();
        this.sockets.forEach((socket) => socket.destroy());
    }

    client(options: ClientOptions = {}): Client {
        const client = new Client({ server: this.url, timeoutMs: 2_000, ...options });
        this.clients.push(client);
        return client;
    }

    async stop(): Promise<void> {
        this.kill();
        await Promise.all(this.clients.map((client) => client.close()));
        rmSync(this.directory, { recursive: true, force: true });
    }
}

const PATIENCE_MS = 30_000;

async function tooLate(): Promise<never> {
    await setTimeout(PATIENCE_MS, undefined, { ref: false });
    throw new Error("what the test waits for did not come");
}

/** Runs a test with a server of its own. */
export function withServer(run: (server: FakeServer) => Promise<void>): () => Promise<void> {
    return async () => {
        const server = new FakeServer();
        await server.start();
        try {
            await Promise.race([run(server), tooLate()]);
        } finally {
            await server.stop();
        }
    };
}
