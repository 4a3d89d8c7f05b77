// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { parseAddress, serverOr } from "../src/address";
import { Client, InvalidError } from "../src/index";

test("addresses become gRPC's targets", () => {
    for (const [url, kind, target, ip = ""] of [
        ["unix:///run/holdfast.sock", "unix", "unix:///run/holdfast.sock"],
        ["tcp://127.0.0.1:7000", "tcp", "dns:127.0.0.1:7000", "127.0.0.1"],
        ["tcp://locks", "tcp", "dns:locks:7420"],
        ["tls://locks.example.org:443", "tls", "dns:locks.example.org:443"],
        ["tls://[::1]:7421", "tls", "ipv6:[::1]:7421", "::1"],
        ["tcp://[::1]", "tcp", "ipv6:[::1]:7420", "::1"],
    ] as const) {
        assert.deepEqual(parseAddress(url), { kind, text: url, target, ip });
    }
});

test("what is no address is refused, with the reason", () => {
    const long = `unix:///${"x".repeat(107)}`;
    for (const url of ["", "locks:7420", "http://a", "unix://relative", "unix:///", long]) {
        assert.throws(() => parseAddress(url), InvalidError, url);
    }
    for (const url of [
        "tcp://",
        "tcp://a:0",
        "tcp://a:65536",
        "tcp://a:x",
        "tcp://u@a",
        "tcp://a/b",
        "tcp://::1",
        "tls://[::1",
    ]) {
        assert.throws(() => parseAddress(url), /expected HOST:PORT/, url);
    }
});

test("without an address the environment's counts, then the default", () => {
    process.env["HOLDFAST_SERVER"] = "tcp://elsewhere:1";
    assert.equal(serverOr(undefined), "tcp://elsewhere:1");
    assert.equal(serverOr("tcp://here:1"), "tcp://here:1");
    delete process.env["HOLDFAST_SERVER"];
    assert.equal(serverOr(undefined), "tcp://127.0.0.1:7420");
});

test("files of TLS belong to tls://, and exist", () => {
    assert.throws(() => new Client({ server: "tcp://a", caFile: "/ca.pem" }), /for tls:\/\/ only/);
    assert.throws(() => new Client({ server: "tls://a", certFile: "/c.pem" }), /go together/);
    assert.throws(
        () => new Client({ server: "tls://a", caFile: "/nonexistent/ca.pem" }),
        /caFile: ENOENT/,
    );
    assert.throws(() => new Client({ server: "tcp://a", timeoutMs: -1 }), /timeoutMs/);
});
