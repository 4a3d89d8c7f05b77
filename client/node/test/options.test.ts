// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { checkOptions, detachedMessage, holdMessage, lockAsk, resumeMessage } from "../src/options";

test("keys are bounded", () => {
    const seventeen = Array.from({ length: 17 }, (_, index) => `k${index}`);
    for (const key of [
        undefined as never,
        "",
        "é".repeat(257),
        [],
        ["one"],
        seventeen,
        ["a", ""],
    ]) {
        assert.throws(() => lockAsk(key, {}), { name: "InvalidError", message: /^keys?: / });
    }
    assert.deepEqual(lockAsk(["b", "a"], {}).keys, ["b", "a"]);
});

test("numbers are whole, not negative, and at most a day", () => {
    for (const ttlMs of [-1, 1.5, NaN, Infinity, 86_400_001, "5" as never]) {
        assert.throws(
            () => lockAsk("k", { ttlMs }),
            /^InvalidError: ttlMs: a whole number from 0 to 86400000/,
            String(ttlMs),
        );
    }
    assert.throws(() => lockAsk("k", { limit: 1_000_001 }), /limit/);
    assert.doesNotThrow(() => lockAsk("k", { waitMs: 86_400_000 }));
});

test("a misspelt or misplaced option is an error", () => {
    assert.throws(
        () => lockAsk("k", { wait: 5 } as never),
        /^InvalidError: wait: there is no such option here/,
    );
    assert.throws(() => checkOptions({ graceMs: 5 }, "detached"), /graceMs/);
    assert.throws(() => checkOptions({ waitMs: 5 }, "resume"), /waitMs/);
    assert.throws(() => lockAsk("k", { mode: "exclusiv" } as never), /mode/);
});

test("messages say what was asked", () => {
    const ask = lockAsk("k", {
        ttlMs: 5,
        value: "v",
        mode: "shared",
        limit: 2,
        graceMs: 3,
        heartbeatMs: 4,
        maxHoldMs: 6,
    });
    assert.deepEqual(holdMessage(ask, 70.9), {
        key: "k",
        ttlMs: 5,
        label: "",
        value: Buffer.from("v"),
        waitMs: 70,
        mode: "MODE_SHARED",
        limit: 2,
        lockDelayMs: 0,
        heartbeatMs: 4,
        graceMs: 3,
        maxHoldMs: 6,
    });
    assert.deepEqual(holdMessage(lockAsk(["b", "a"], {}), 0).keys, ["b", "a"]);
    const token = Buffer.alloc(16);
    assert.deepEqual(resumeMessage(ask, token), {
        key: "k",
        ttlMs: 5,
        lockDelayMs: 0,
        heartbeatMs: 4,
        graceMs: 3,
        maxHoldMs: 6,
        resumeToken: token,
    });
    assert.equal(detachedMessage("k", token, {}, 0).detached, true);
});
