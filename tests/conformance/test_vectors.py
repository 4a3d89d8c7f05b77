# SPDX-License-Identifier: Apache-2.0
"""Every operation on every prior state (vectors.json), once and again."""

import json
import pathlib
import time

import pytest

from batch import Record, acquire, inspect, read_record, release, renew

VECTORS = json.loads((pathlib.Path(__file__).parent / "vectors.json").read_text())
CASES = [(verb, lock) for verb, locks in VECTORS["verbs"].items() for lock in locks]

KEY = "lock:the key"
TTL_MS = 30000
TENURES = {"mine": b"m" * 16, "theirs": b"t" * 16}
TOKENS = {"mine": b"M" * 16, "theirs": b"T" * 16, "other": b"O" * 16}
MINE = Record(TENURES["mine"], TOKENS["mine"], 5, 8, b"me", b"value")

FILL = {
    "list": ("RPUSH", "a"),
    "set": ("SADD", "a"),
    "zset": ("ZADD", 1, "a"),
    "hash": ("HSET", "a", "b"),
    "stream": ("XADD", "*", "a", "b"),
}


def record_of(fields):
    label = fields.get("label", "x" * fields.get("label_length", 0)).encode()
    token = TOKENS[fields.get("token", fields["tenure"])]
    return Record(TENURES[fields["tenure"]], token, fields["fence"], fields["since_ms"], label,
                  fields.get("version", 1))


def value_of(lock):
    if "record" in lock:
        return record_of(lock["record"]).value()
    return lock.get("string", "x" * lock.get("string_length", 0)).encode()


def put(client, lock):
    if not lock:
        return
    if "type" in lock:
        command, *rest = FILL[lock["type"]]
        client(command, KEY, *rest)
    else:
        client("SET", KEY, value_of(lock))
    if lock["ttl_ms"] is not None:
        client("PEXPIRE", KEY, lock["ttl_ms"])
    if lock.get("is_expired"):
        deadline = time.monotonic() + 5
        while client("EXISTS", KEY) == 1:
            assert time.monotonic() < deadline


def operation(verb):
    return {
        "ACQUIRE": lambda: acquire(KEY, MINE, TTL_MS),
        "RENEW": lambda: renew(KEY, MINE, TTL_MS),
        "RELEASE": lambda: release(KEY, MINE),
        "INSPECT": lambda: inspect(KEY),
    }[verb]()


def check_result(result, expected, lock, now_us, fence_before):
    assert len(result) == len(expected), result
    for got, wanted in zip(result, expected):
        if wanted == "$fence":
            assert fence_before < got and now_us <= got
        elif wanted == "$now_ms":
            assert got == now_us // 1000
        elif wanted == "$ttl_ms":
            assert 0 < got <= lock["ttl_ms"]
        elif wanted == "$label":
            assert got == record_of(lock["record"]).label
        elif isinstance(wanted, str) and isinstance(got, bytes):
            assert got == wanted.encode()
        else:
            assert got == wanted


def snapshot(client):
    dump = client("DUMP", KEY)
    ttl_ms = client("PTTL", KEY)
    return dump, ttl_ms


def check_lock(client, becomes, before, lock, result):
    dump, ttl_ms = snapshot(client)
    if becomes == "absent":
        assert dump is None
    elif becomes == "kept":
        assert dump == before[0]
        assert ttl_ms <= before[1] and (ttl_ms > TTL_MS or ttl_ms == before[1] == -1)
    elif becomes == "extended":
        assert dump == before[0]
        assert TTL_MS - 5000 < ttl_ms <= TTL_MS
    else:
        assert becomes == "granted"
        assert read_record(client("GET", KEY)) == MINE.granted(result[1], result[2])
        assert TTL_MS - 5000 < ttl_ms <= TTL_MS


@pytest.mark.parametrize("verb,name", CASES)
def test_vector(batches, client, verb, name):
    lock, expected = VECTORS["locks"][name], VECTORS["verbs"][verb][name]
    put(client, lock)
    before = snapshot(client)
    fence_before = int(batches.register().get("fence", 0))
    now_us, (result,) = batches.run(operation(verb))
    check_result(result, expected["result"], lock, now_us, fence_before)
    check_lock(client, expected["lock"], before, lock, result)


def without_ttl(result):
    return result[:4] + result[5:]


@pytest.mark.parametrize("verb,name", CASES)
def test_run_twice(batches, client, verb, name):
    """A second run changes nothing that the first did not, and grants nothing anew."""
    put(client, VECTORS["locks"][name])
    first = batches.one(operation(verb))
    value = client("DUMP", KEY)
    second = batches.one(operation(verb))
    assert client("DUMP", KEY) == value
    if verb == "RELEASE" and first == ["OK"]:
        assert second == ["NOT_HELD"]
    else:
        assert without_ttl(second) == without_ttl(first)


def test_table_is_complete():
    for verb, locks in VECTORS["verbs"].items():
        assert list(locks) == list(VECTORS["locks"]), verb
