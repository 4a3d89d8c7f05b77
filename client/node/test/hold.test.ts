// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { inspect } from "node:util";

import { status } from "@grpc/grpc-js";

import { type Client, type Lease, LeaseLostError, type LockOptions } from "../src/index";
import { type FakeHold, type FakeServer, TOKEN, withServer } from "./fake_server";

type Grant = Parameters<FakeHold["grant"]>[0];

/** A lease, and the server's end of it. */
async function held(
    server: FakeServer,
    options: LockOptions = {},
    grant: Grant = {},
): Promise<[Lease, FakeHold, Client]> {
    const client = server.client();
    const asked = client.lock("k", options);
    const hold = await server.holds.take();
    await hold.ask;
    hold.grant(grant);
    return [await asked, hold, client];
}

/** The reason of the loss, waited for. */
async function loss(lease: Lease): Promise<LeaseLostError> {
    if (!lease.signal.aborted) {
        await once(lease.signal, "abort");
    }
    assert.ok(lease.signal.reason instanceof LeaseLostError);
    assert.equal(lease.validForMs, 0);
    return lease.signal.reason;
}

test(
    "a lease is granted, and released once",
    withServer(async (server) => {
        const [lease, hold] = await held(server);
        assert.equal(lease.key, "k");
        assert.equal(lease.fence, 7);
        assert.deepEqual([...lease.fences], [["k", 7]]);
        assert.deepEqual(lease.token, TOKEN);
        assert.ok(lease.validForMs > 8_000);
        const released = lease.release();
        assert.equal(lease.validForMs, 0);
        await hold.acknowledge();
        await released;
        await lease.release();
        assert.ok(!lease.signal.aborted);
        await assert.rejects(lease.renew(), { kind: "not_held" });
    }),
);

test(
    "the token is not shown with the lease",
    withServer(async (server) => {
        const [lease] = await held(server);
        const shown = inspect(lease, { depth: 9, showHidden: true }) + JSON.stringify(lease);
        assert.ok(!shown.includes("07 07") && !shown.includes("7,7"), shown);
    }),
);

test(
    "validity counts from the question, not from the answer",
    withServer(async (server) => {
        const asked = server.client().lock("k");
        const hold = await server.holds.take();
        await setTimeout(300);
        hold.grant({ validForMs: 1_000 });
        const { validForMs } = await asked;
        assert.ok(validForMs <= 700, String(validForMs));
    }),
);

test(
    "a grant that is over when it is read is given back",
    withServer(async (server) => {
        const asked = server.client().lock("k");
        const hold = await server.holds.take();
        await setTimeout(50);
        hold.grant({ validForMs: 20 });
        await assert.rejects(asked, { kind: "timeout" });
        await hold.halfClose;
    }),
);

test(
    "after a wait with little left a ping confirms the grant first",
    withServer(async (server) => {
        const places: number[] = [];
        const asked = server
            .client()
            .lock("k", { waitMs: 5_000, onQueued: (position) => places.push(position) });
        const hold = await server.holds.take();
        hold.say({ queued: { position: 3 } });
        hold.grant({ validForMs: 3_000, ttlMs: 10_000 });
        await hold.pings.take();
        assert.equal(await Promise.race([asked, setTimeout(50, "not yet")]), "not yet");
        hold.say({ renewed: { validForMs: 9_000 } });
        assert.ok((await asked).validForMs > 8_000);
        assert.deepEqual(places, [3]);
    }),
);

test(
    "who was frozen takes no old grant for new",
    withServer(async (server) => {
        const asked = server.client().lock("k", { waitMs: 60_000 });
        const hold = await server.holds.take();
        const thawedMs = performance.now() + 300;
        while (performance.now() < thawedMs) {
            /* Nothing is read, as in a process that is frozen. */
        }
        hold.say({ queued: { position: 1 } });
        hold.grant({ validForMs: 8_900, ttlMs: 9_000 });
        assert.ok((await asked).validForMs <= 8_600);
    }),
);

test(
    "pings keep the lease alive",
    withServer(async (server) => {
        const [lease, hold] = await held(server, {}, { ttlMs: 300, validForMs: 290 });
        for (let round = 0; round < 6; round++) {
            await hold.pings.take();
            hold.say({ renewed: { validForMs: 290 } });
        }
        assert.ok(!lease.signal.aborted);
        assert.ok(lease.validForMs > 0);
    }),
);

test(
    "without an answer the lease is at risk, then expired",
    withServer(async (server) => {
        const told: string[] = [];
        const options = {
            onAtRisk: () => told.push("at risk"),
            onLost: ({ reason }: LeaseLostError) => told.push(reason),
        };
        const [lease, hold] = await held(server, options, { ttlMs: 300, validForMs: 290 });
        assert.equal((await loss(lease)).reason, "expired");
        await setTimeout(1);
        assert.deepEqual(told, ["at risk", "expired"]);
        await hold.halfClose;
        await assert.rejects(lease.release(), { kind: "not_held" });
    }),
);

test(
    "the end of the longest hold says so",
    withServer(async (server) => {
        const [lease] = await held(server, { maxHoldMs: 200 }, { ttlMs: 300, validForMs: 199 });
        assert.equal((await loss(lease)).reason, "max_hold");
    }),
);

test(
    "the server's words for a loss",
    withServer(async (server) => {
        for (const [said, reason] of [
            ["REASON_EXPIRED", "expired"],
            ["REASON_TAKEN", "taken"],
            ["REASON_HEARTBEAT_MISSED", "heartbeat"],
            ["REASON_SHUTDOWN", "shutdown"],
            ["REASON_MAX_HOLD", "max_hold"],
            ["REASON_RESUMED", "resumed"],
            ["REASON_UNSPECIFIED", "connection"],
        ] as const) {
            const [lease, hold] = await held(server);
            hold.say({ lost: { reason: said } });
            const error = await loss(lease);
            assert.equal(error.reason, reason);
            assert.match(error.message, /^the lease on "k" is lost: /);
        }
    }),
);

test(
    "a dropped connection is a loss at once",
    withServer(async (server) => {
        const [lease, , client] = await held(server);
        const renewal = lease.renew();
        server.kill();
        await assert.rejects(renewal, { kind: "not_held" });
        assert.equal((await loss(lease)).reason, "connection");
        await server.start();
        const asked = client.lock("k");
        (await server.holds.take()).grant();
        await asked;
    }),
);

test(
    "with a grace it is resumed, and whoever asked meanwhile is answered",
    withServer(async (server) => {
        const [lease] = await held(server, { graceMs: 5_000 });
        server.kill();
        await setTimeout(20);
        const renewal = lease.renew();
        await server.start();
        const again = await server.holds.take();
        assert.deepEqual((await again.ask).resumeToken, TOKEN);
        again.grant({ validForMs: 5_000, ttlMs: 6_000 });
        assert.ok((await renewal) > 4_000);
        assert.equal(lease.ttlMs, 6_000);
        assert.ok(!lease.signal.aborted);
        const released = lease.release();
        await again.acknowledge();
        await released;
    }),
);

test(
    "a resume that the server puts off is asked again",
    withServer(async (server) => {
        const [lease] = await held(server, { graceMs: 5_000 });
        server.kill();
        await server.start();
        (await server.holds.take()).fail(status.UNAVAILABLE, "Redis is away");
        (await server.holds.take()).say({ lost: { reason: "REASON_TAKEN" } });
        assert.equal((await loss(lease)).reason, "taken");
    }),
);

test(
    "a lease that cannot be resumed within its grace is lost",
    withServer(async (server) => {
        const [lease] = await held(server, { graceMs: 300 });
        server.kill();
        await setTimeout(50);
        assert.ok(lease.validForMs < 300);
        assert.equal((await loss(lease)).reason, "connection");
    }),
);

test(
    "a release while the connection is away goes by the token",
    withServer(async (server) => {
        const [lease] = await held(server, { graceMs: 5_000 });
        server.kill();
        await setTimeout(50);
        const released = lease.release();
        await server.start();
        assert.deepEqual((await server.releases.take()).token, TOKEN);
        await released;
    }),
);

test(
    "a release that finds the lease gone says so",
    withServer(async (server) => {
        const [lease, hold] = await held(server);
        const released = lease.release();
        await hold.halfClose;
        hold.say({ lost: { reason: "REASON_TAKEN" } });
        await assert.rejects(released, { kind: "not_held" });
    }),
);

test(
    "who waits asks again after a drop, with what is left of the wait",
    withServer(async (server) => {
        const asked = server.client().lock("k", { waitMs: 10_000 });
        const first = await server.holds.take();
        assert.equal((await first.ask).waitMs, 10_000);
        first.say({ queued: { position: 1 } });
        await setTimeout(50);
        server.kill();
        await server.start();
        const second = await server.holds.take();
        const { waitMs } = await second.ask;
        assert.ok(waitMs < 10_000 && waitMs > 5_000, String(waitMs));
        second.grant();
        await asked;
    }),
);

test(
    "a wait that is taken back leaves the queue, and a late grant is given up",
    withServer(async (server) => {
        const wait = new AbortController();
        const asked = server.client().lock("k", { waitMs: 10_000, signal: wait.signal });
        const hold = await server.holds.take();
        await hold.ask;
        wait.abort("changed my mind");
        await assert.rejects(asked, { kind: "cancelled", cause: "changed my mind" });
        hold.grant();
        await hold.halfClose;
    }),
);

test(
    "an aborted signal asks nothing, and one that is aborted after the grant changes nothing",
    withServer(async (server) => {
        await assert.rejects(server.client().lock("k", { signal: AbortSignal.abort() }), {
            kind: "cancelled",
        });
        assert.equal(server.holds.count, 0);
        const wait = new AbortController();
        const [lease] = await held(server, { signal: wait.signal });
        wait.abort();
        assert.ok(lease.validForMs > 0 && !lease.signal.aborted);
    }),
);

test(
    "a server that says nothing is a timeout",
    withServer(async (server) => {
        const client = server.client({ timeoutMs: 200 });
        await assert.rejects(client.lock("k"), { kind: "timeout" });
        await (
            await server.holds.take()
        ).halfClose;
    }),
);

test(
    "statuses are errors of their kind, with the server's words",
    withServer(async (server) => {
        const client = server.client();
        for (const [code, kind] of [
            [status.INVALID_ARGUMENT, "invalid"],
            [status.UNAVAILABLE, "away"],
            [status.RESOURCE_EXHAUSTED, "limit"],
            [status.ABORTED, "deadlock"],
            [status.FAILED_PRECONDITION, "refused"],
        ] as const) {
            const asked = client.lock("k");
            (await server.holds.take()).fail(code, "ask.key: très long");
            await assert.rejects(asked, { kind, message: /^key: très long/ });
        }
    }),
);

test(
    "a grant that makes no sense is refused",
    withServer(async (server) => {
        const client = server.client();
        const asked = client.lock(["a", "b"]);
        const hold = await server.holds.take();
        hold.grant({ locks: [{ key: "a", fence: 7 }] });
        await assert.rejects(asked, { kind: "refused" });
        await hold.halfClose;
        const resumed = client.resume("k", Buffer.alloc(16, 1));
        (await server.holds.take()).grant();
        await assert.rejects(resumed, { kind: "refused" });
    }),
);
