// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { Term } from "../src/term";

const T0 = 1_000;

function term(options: { ttlMs?: number; heartbeatMs?: number; maxHoldMs?: number } = {}): Term {
    return new Term({ ttlMs: 9_000, heartbeatMs: 0, maxHoldMs: 0, grantedMs: T0, ...options });
}

test("the deadline counts from the sending, whenever the answer came", () => {
    const lease = term();
    lease.confirm(T0, 8_900, T0 + 3_000);
    assert.equal(lease.leftMs(T0 + 3_000), 5_900);
    lease.limit(T0 + 4_000);
    assert.equal(lease.leftMs(T0 + 3_000), 1_000);
    lease.limit(T0 + 60_000);
    assert.equal(lease.leftMs(T0 + 3_000), 1_000);
    lease.end();
    assert.ok(lease.leftMs(T0 + 3_000) < 0);
});

test("pings come at a third of the ttl, or of the heartbeat where that is smaller", () => {
    const lease = term();
    lease.confirm(T0, 8_900, T0);
    lease.planPing(T0);
    assert.ok(!lease.isPingDue(T0 + 2_999));
    assert.ok(lease.isPingDue(T0 + 3_000));
    assert.equal(lease.delayMs(T0), 3_000);

    const hurried = term({ heartbeatMs: 300 });
    hurried.confirm(T0, 8_900, T0);
    hurried.planPing(T0);
    assert.equal(hurried.delayMs(T0), 100);
});

test("pings come sooner when the server confirms little, but not without end", () => {
    const lease = term();
    lease.confirm(T0, 2_000, T0);
    lease.planPing(T0);
    assert.ok(lease.isPingDue(T0 + 1_000) && !lease.isPingDue(T0 + 999));
    lease.confirm(T0, 2_000, T0 + 1_990);
    lease.planPing(T0 + 1_990);
    assert.ok(!lease.isPingDue(T0 + 1_990 + 374) && lease.isPingDue(T0 + 1_990 + 375));
});

test("a lease is at risk once, and again after a recovery", () => {
    const lease = term();
    lease.confirm(T0, 8_900, T0);
    assert.equal(lease.atRiskMs, 1_500);
    assert.ok(lease.warns());
    assert.ok(!lease.warns());
    lease.confirm(T0 + 7_000, 2_000, T0 + 7_000); /* a little better is no recovery */
    assert.ok(!lease.warns());
    lease.confirm(T0 + 8_000, 8_900, T0 + 8_000);
    assert.ok(lease.warns());
});

test("before the warning the timer is set to it, then to the end", () => {
    const lease = term();
    lease.confirm(T0, 2_000, T0);
    lease.postponePing(T0, 60_000);
    assert.equal(lease.delayMs(T0), 500);
    lease.warns();
    assert.equal(lease.delayMs(T0), 2_000);
    assert.equal(lease.delayMs(T0 + 5_000), 0);
});

test("the last term is the one that the longest hold cuts short", () => {
    const lease = term({ maxHoldMs: 20_000 });
    lease.confirm(T0, 8_900, T0);
    assert.ok(!lease.isLast);
    lease.confirm(T0 + 15_000, 4_980, T0 + 15_020); /* 20 ms under way */
    assert.ok(lease.isLast);
    lease.confirm(T0 + 15_000, 4_900, T0 + 15_020);
    assert.ok(!lease.isLast);
});

test("a lease that was resumed begins anew", () => {
    const lease = term();
    lease.confirm(T0, 100, T0);
    lease.warns();
    lease.restore(T0 + 50, 5_900, 6_000, T0 + 60);
    assert.equal(lease.ttlMs, 6_000);
    assert.equal(lease.leftMs(T0 + 60), 5_890);
    assert.ok(lease.warns());
});
