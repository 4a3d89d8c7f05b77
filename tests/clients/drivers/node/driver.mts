// SPDX-License-Identifier: Apache-2.0
/*
 * The driver of the Node library: see ../README.md. It is built with the library, see
 * client/node/package.cmake.
 */
import { createInterface } from "node:readline";

import {
    BusyError,
    Client,
    type DetachedLease,
    type Holder,
    HoldfastError,
    type Lease,
    type LockOptions,
} from "holdfast";

type Json = Record<string, unknown>;

interface Request extends Json {
    id: number;
    do: string;
    key: string;
    keys?: string[];
    lease: string;
    watch: string;
    election: string;
    request: number;
    token?: string;
    ttl_ms?: number;
}

let client = new Client(); /* until it is opened where the request says; it has not connected yet */
const leases = new Map<string, Lease | DetachedLease>();
const waits = new Map<number, AbortController>();
const watches = new Map<string, AbortController>();
const elections = new Map<string, { resign: AbortController; ended: Promise<unknown> }>();

function say(line: Json): void {
    process.stdout.write(`${JSON.stringify(line)}\n`);
}

function holderJson(holder: Holder | null): Json | null {
    return holder && { ...holder, value: holder.value.toString() };
}

function leaseJson(lease: Lease | DetachedLease): Json {
    const { fence, fences, validForMs, token } = lease;
    return {
        fence,
        fences: Object.fromEntries(fences),
        valid_for_ms: validForMs,
        token: token.toString("hex"),
    };
}

function tokenOf(request: Request): Buffer {
    return Buffer.from(request.token ?? "", "hex");
}

function leaseOf(request: Request): Lease | DetachedLease {
    const lease = leases.get(request.lease);
    if (lease === undefined) {
        throw new Error(`no lease ${request.lease}`);
    }
    return lease;
}

const OPTIONS = {
    label: "label",
    value: "value",
    ttl_ms: "ttlMs",
    wait_ms: "waitMs",
    mode: "mode",
    limit: "limit",
    grace_ms: "graceMs",
    lock_delay_ms: "lockDelayMs",
    max_hold_ms: "maxHoldMs",
    heartbeat_ms: "heartbeatMs",
};

function optionsOf(request: Request): LockOptions {
    const given = Object.entries(OPTIONS).filter(([name]) => request[name] !== undefined);
    return Object.fromEntries(given.map(([name, option]) => [option, request[name]]));
}

function events(request: Request): LockOptions {
    const { lease } = request;
    return {
        onAtRisk: () => say({ event: "at_risk", lease }),
        onLost: ({ reason }) => say({ event: "lost", lease, reason }),
    };
}

async function hold(request: Request): Promise<Json> {
    const wait = new AbortController();
    const onQueued = (position: number, holder: Holder | null) =>
        say({ event: "queued", id: request.id, position, holder: holderJson(holder) });
    const options = { ...optionsOf(request), ...events(request), onQueued, signal: wait.signal };
    waits.set(request.id, wait);
    const lease = await client.lock(request.keys ?? request.key, options);
    leases.set(request.lease, lease);
    return leaseJson(lease);
}

async function resume(request: Request): Promise<Json> {
    const lease = await client.resume(request.key, tokenOf(request), {
        ...optionsOf(request),
        ...events(request),
    });
    leases.set(request.lease, lease);
    return leaseJson(lease);
}

async function acquireDetached(request: Request): Promise<Json> {
    const token = request.token === undefined ? {} : { token: tokenOf(request) };
    const lease = await client.acquireDetached(request.key, { ...optionsOf(request), ...token });
    leases.set(request.lease, lease);
    return leaseJson(lease);
}

async function watch(name: string, key: string, signal: AbortSignal): Promise<void> {
    for await (const told of client.watch(key, { signal })) {
        const what =
            told.state === "unknown"
                ? { unknown: true }
                : { holder: "holder" in told ? holderJson(told.holder) : null };
        say({ event: "state", watch: name, ...what });
    }
}

async function term(election: string, lease: Lease, signal: AbortSignal): Promise<void> {
    say({ event: "elected", election, fence: lease.fence });
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    if (lease.signal.aborted) {
        say({ event: "deposed", election });
    }
}

const TABLE: Record<string, (request: Request) => Promise<Json | void> | Json | void> = {
    open({ server, ca_file: caFile, timeout_ms: timeoutMs }) {
        client = new Client(JSON.parse(JSON.stringify({ server, caFile, timeoutMs })));
    },
    close: () => client.close(),
    hold,
    resume,
    acquire_detached: acquireDetached,
    cancel: ({ request }) => waits.get(request)?.abort(),
    release: (request) => leaseOf(request).release(),
    renew: async (request) => ({ valid_for_ms: await leaseOf(request).renew(request.ttl_ms) }),
    release_token: (request) => client.release(request.key, tokenOf(request)),
    async renew_token(request) {
        return {
            valid_for_ms: (await client.renew(request.key, tokenOf(request), request.ttl_ms))
                .validForMs,
        };
    },
    lease: (request) => leaseJson(leaseOf(request)),
    inspect: async ({ key }) => ({ holder: holderJson(await client.inspect(key)) }),
    watch({ watch: name, key }) {
        const stop = new AbortController();
        watches.set(name, stop);
        void watch(name, key, stop.signal);
    },
    unwatch: ({ watch: name }) => watches.get(name)?.abort(),
    elect({ election, key, value }) {
        const resign = new AbortController();
        const options = { value: String(value), signal: resign.signal };
        const ended = client.lead(key, options, (lease, signal) => term(election, lease, signal));
        elections.set(election, { resign, ended });
    },
    async resign({ election }) {
        elections.get(election)?.resign.abort();
        await elections.get(election)?.ended;
    },
    async health() {
        if (!(await client.health())) {
            return { result: "away" };
        }
        return {};
    },
};

async function answer(request: Request): Promise<void> {
    const { id } = request;
    try {
        const run = TABLE[request.do];
        if (run === undefined) {
            throw new Error(`cannot do ${request.do}`);
        }
        say({ id, result: "ok", ...(await run(request)) });
    } catch (error) {
        if (!(error instanceof HoldfastError)) {
            throw error;
        }
        const holder = error instanceof BusyError ? { holder: holderJson(error.holder) } : {};
        say({ id, result: error.kind, error: error.message, ...holder });
    } finally {
        waits.delete(id);
    }
}

say({ event: "ready", library: `node ${process.version}`, features: ["election", "health", "closing"] });
for await (const line of createInterface({ input: process.stdin })) {
    void answer(JSON.parse(line) as Request);
}
await client.close();
