// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { status } from "@grpc/grpc-js";

import { Client, type Lease, LeaseLostError } from "../src/index";
import { TOKEN, withServer } from "./fake_server";

test(
    "withLock locks, works, releases, and passes the result on",
    withServer(async (server) => {
        const done = server
            .client()
            .withLock("k", ({ fence }, signal) => `${fence} ${signal.aborted}`);
        const hold = await server.holds.take();
        hold.grant();
        await hold.acknowledge();
        assert.equal(await done, "7 false");
    }),
);

test(
    "withLock releases when the work fails, and throws its error",
    withServer(async (server) => {
        const done = server
            .client()
            .withLock("k", { ttlMs: 5_000 }, () => Promise.reject(new Error("work")));
        const hold = await server.holds.take();
        hold.grant();
        await hold.acknowledge();
        await assert.rejects(done, { message: "work" });
    }),
);

test(
    "withLock throws the loss, whatever the work came to",
    withServer(async (server) => {
        const outcomes: ((signal: AbortSignal) => unknown)[] = [
            () => "a result",
            (signal) => signal.throwIfAborted(),
            () => Promise.reject(new Error("work")),
        ];
        for (const outcome of outcomes) {
            const done = server.client().withLock("k", async (_, signal) => {
                await setTimeout(10_000, undefined, { signal }).catch(() => {});
                return outcome(signal);
            });
            const hold = await server.holds.take();
            hold.grant();
            hold.say({ lost: { reason: "REASON_TAKEN" } });
            await assert.rejects(done, (error: LeaseLostError) => {
                assert.ok(error instanceof LeaseLostError && error.reason === "taken");
                return outcome !== outcomes[2] || (error.cause as Error).message === "work";
            });
        }
    }),
);

test(
    "withLock says when the release finds the lease gone, and minds no server that is away by then",
    withServer(async (server) => {
        const gone = server.client().withLock("k", () => "done");
        const hold = await server.holds.take();
        hold.grant();
        await hold.halfClose;
        hold.say({ lost: { reason: "REASON_TAKEN" } });
        await assert.rejects(gone, { kind: "not_held" });

        const away = server.client().withLock("k", () => "done");
        const another = await server.holds.take();
        another.grant();
        await another.halfClose;
        server.kill();
        assert.equal(await away, "done");
    }),
);

test(
    "a scope releases its lease, and a lost one ends quietly",
    withServer(async (server) => {
        const client = server.client();
        async function scope(work: (lease: Lease) => unknown): Promise<void> {
            await using lease = await client.lock("k");
            await work(lease);
        }
        const released = scope(() => {});
        const hold = await server.holds.take();
        hold.grant();
        await hold.acknowledge();
        await released;

        const lost = scope(({ signal }) =>
            setTimeout(10_000, undefined, { signal }).catch(() => {}),
        );
        const another = await server.holds.take();
        another.grant();
        another.say({ lost: { reason: "REASON_TAKEN" } });
        await lost;
    }),
);

test(
    "busy is an error with the holder, or null for a try",
    withServer(async (server) => {
        const client = server.client();
        const asked = client.lock("k");
        (await server.holds.take()).say({ busy: { label: "nightly", fence: 3, sinceMs: 1_000 } });
        await assert.rejects(asked, {
            kind: "busy",
            message: /nightly/,
            holder: {
                label: "nightly",
                fence: 3,
                mode: "exclusive",
                since: new Date(1_000),
                closed: false,
                foreign: false,
                holders: 0,
                key: "",
                remainingMs: 0,
                value: Buffer.alloc(0),
            },
        });
        const tried = client.tryLock("k");
        (await server.holds.take()).say({ busy: {} });
        assert.equal(await tried, null);
    }),
);

test(
    "the bearer token goes with every call, and a function is asked each time",
    withServer(async (server) => {
        let count = 0;
        const client = server.client({ authToken: () => `secret-${++count}` });
        for (const expected of ["Bearer secret-1", "Bearer secret-2"]) {
            const asked = client.lock("k");
            const hold = await server.holds.take();
            assert.deepEqual(hold.metadata.get("authorization"), [expected]);
            hold.grant();
            await asked;
        }
    }),
);

test(
    "a detached acquire whose answer is lost is settled with the same token",
    withServer(async (server) => {
        const acquired = server.client().acquireDetached("k", { ttlMs: 5_000 });
        const { request } = await server.acquires.take();
        server.kill();
        await server.start();
        const again = await server.acquires.take();
        assert.deepEqual(again.request.token, request.token);
        assert.ok(request.detached && request.token.length === 16);
        again.answer({
            lease: { key: "k", token: request.token, fence: 9, ttlMs: 5_000, validForMs: 4_900 },
        });
        const lease = await acquired;
        assert.equal(lease.fence, 9);

        server.renewed = {
            lease: { key: "k", token: request.token, ttlMs: 9_000, validForMs: 8_000 },
        };
        assert.ok((await lease.renew(9_000)) > 7_000);
        assert.equal(lease.ttlMs, 9_000);
        server.renewed = { notHeld: {} };
        await assert.rejects(lease.renew(), { kind: "not_held" });
        assert.equal(lease.validForMs, 0);
        await lease.release();
    }),
);

test(
    "what a detached acquire may still obtain is given up, unless the token is the caller's",
    withServer(async (server) => {
        const client = server.client({ timeoutMs: 200 });
        await assert.rejects(client.acquireDetached("k"), { kind: "timeout" });
        const { request } = await server.acquires.take();
        assert.deepEqual((await server.releases.take()).token, request.token);
        await assert.rejects(client.acquireDetached("k", { token: TOKEN }), { kind: "timeout" });
        await setTimeout(50);
        assert.equal(server.releases.count, 0);
    }),
);

test(
    "a detached acquire that waited is confirmed, or given up",
    withServer(async (server) => {
        const client = server.client();
        const grant = { key: "k", token: TOKEN, fence: 9, ttlMs: 5_000, validForMs: 1 };
        server.renewed = { lease: { ...grant, validForMs: 4_000 } };
        const acquired = client.acquireDetached("k", { token: TOKEN, waitMs: 1_000 });
        (await server.acquires.take()).answer({ lease: grant });
        assert.ok((await acquired).validForMs > 3_000);
        server.renewed = { notHeld: {} };
        const late = client.acquireDetached("k", { token: TOKEN, waitMs: 1_000 });
        (await server.acquires.take()).answer({ lease: grant });
        await assert.rejects(late, { kind: "timeout" });
    }),
);

test(
    "tokens are checked before they are sent",
    withServer(async (server) => {
        const client = server.client();
        await assert.rejects(client.acquireDetached("k", { token: Buffer.alloc(15) }), {
            kind: "invalid",
        });
        await assert.rejects(client.release("k", "0".repeat(16) as never), { kind: "invalid" });
        await assert.rejects(client.resume("k", Buffer.alloc(17)), { kind: "invalid" });
        server.released = { outcome: "OUTCOME_NOT_HELD" };
        await assert.rejects(client.release("k", TOKEN), { kind: "not_held" });
    }),
);

test(
    "a watch tells the state, says once that it is not known, and goes on",
    withServer(async (server) => {
        const watch = server.client({ timeoutMs: 200 }).watch("k");
        const first = watch.next();
        (await server.watches.take()).write({ free: {} });
        assert.deepEqual((await first).value, { state: "free" });
        const unknown = watch.next();
        server.kill();
        const told = (await unknown).value;
        assert.ok(told?.state === "unknown" && told.error.kind === "away");
        const back = watch.next();
        assert.equal(await Promise.race([back, setTimeout(600, "quiet")]), "quiet");
        await server.start();
        (await server.watches.take()).write({ held: { label: "me", closed: true } });
        const again = (await back).value;
        assert.ok(again?.state === "closed" && again.holder.label === "me");
        await watch.return();
        assert.deepEqual(await watch.next(), { done: true, value: undefined });
    }),
);

test(
    "a slow reader of a watch gets the newest state, an aborted one ends",
    withServer(async (server) => {
        const stop = new AbortController();
        const watch = server.client().watch("k", { signal: stop.signal });
        const first = watch.next();
        const call = await server.watches.take();
        call.write({ free: {} });
        await first;
        call.write({ held: { label: "old" } });
        call.write({ held: { label: "new" } });
        await setTimeout(100);
        const { value } = await watch.next();
        assert.ok(value?.state === "held" && value.holder.label === "new");
        const last = watch.next();
        stop.abort();
        assert.deepEqual(await last, { done: true, value: undefined });
    }),
);

test(
    "a watch that the server refuses throws",
    withServer(async (server) => {
        const next = server.client().watch("k").next();
        (await server.watches.take()).emit("error", {
            code: status.INVALID_ARGUMENT,
            details: "key: no",
        });
        await assert.rejects(next, { kind: "invalid", message: "key: no" });
    }),
);

test(
    "health is true, or false for whatever keeps the server from serving",
    withServer(async (server) => {
        const client = server.client({ timeoutMs: 300 });
        assert.equal(await client.health(), true);
        server.health = { status: "NOT_SERVING" };
        assert.equal(await client.health(), false);
        server.kill();
        assert.equal(await client.health(), false);
    }),
);

test(
    "a leader is deposed and stands again; aborting resigns",
    withServer(async (server) => {
        const resign = new AbortController();
        const ends: unknown[] = [];
        const led = server
            .client()
            .lead("k", { value: "here", signal: resign.signal }, async (lease, signal) => {
                await setTimeout(10_000, undefined, { signal }).catch(() => {});
                ends.push([lease.fence, signal.reason instanceof LeaseLostError]);
            });
        const first = await server.holds.take();
        assert.equal(String((await first.ask).value), "here");
        first.grant({ fence: 1 });
        first.say({ lost: { reason: "REASON_EXPIRED" } });
        const second = await server.holds.take();
        second.grant({ fence: 2 });
        await second.pings.take();
        resign.abort();
        await second.acknowledge();
        await led;
        assert.deepEqual(ends, [
            [1, true],
            [2, false],
        ]);
    }),
);

test(
    "a leader that ends by itself does not stand again; its error is passed on",
    withServer(async (server) => {
        const client = server.client();
        for (const work of [() => "done", () => Promise.reject(new Error("work"))]) {
            const led = client.lead("k", {}, work);
            const hold = await server.holds.take();
            hold.grant();
            await hold.acknowledge();
            await led.then(
                (result) => assert.equal(result, "done"),
                ({ message }) => assert.equal(message, "work"),
            );
        }
        assert.equal(server.holds.count, 0);
    }),
);

test(
    "closing gives everything up, and says so",
    withServer(async (server) => {
        const client = server.client();
        const asked = client.lock("k");
        const hold = await server.holds.take();
        hold.grant();
        const lease = await asked;
        const waits = assert.rejects(client.lock("other", { waitMs: 10_000 }), {
            message: "the client was closed",
        });
        const watched = client.watch("k").next();
        const led = client.lead("third", {}, () => {});
        const waiting = [await server.holds.take(), await server.holds.take()];
        const closed = client.close();
        await hold.acknowledge();
        assert.equal(lease.signal.reason.reason, "connection");
        await waits;
        assert.equal((await watched).done, true);
        assert.equal(await led, undefined);
        await Promise.all(waiting.map((question) => question.acknowledge()));
        await closed;
        await assert.rejects(client.lock("k"), { kind: "away" });
    }),
);

test("where no server is, the error says what is wrong", async () => {
    const client = new Client({ server: "unix:///nonexistent/holdfast.sock", timeoutMs: 300 });
    await assert.rejects(client.inspect("k"), {
        kind: "away",
        message: /nonexistent\/holdfast\.sock.*ENOENT/,
    });
    await assert.rejects(
        client.lead("k", {}, () => {}),
        { kind: "away" },
    );
    await client.close();
});
