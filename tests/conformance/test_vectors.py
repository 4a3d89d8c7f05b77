# SPDX-License-Identifier: Apache-2.0
"""Every operation on every prior state (vectors.json): on the shipped script, once and again, on the
model, and on the one that the simulation runs on. HOLDFAST_VECTORS=write makes the table anew from what the script does, for reading."""

import json
import os
import pathlib
import time
from dataclasses import replace

import pytest

from batch import SHARED, Record, acquire, beside, inspect, leave, read_record, release, renew
from batch import resume
from model import EXCLUSIVE, FOR_EVER, NOBODY, Grant, Model
from simulated import Simulated

PATH = pathlib.Path(__file__).parent / "vectors.json"
VECTORS = json.loads(PATH.read_text())
CASES = [(verb, lock) for verb, locks in VECTORS["verbs"].items() for lock in locks]

KEY = "lock:the key"
TTL_MS, DELAY_MS, LIMIT = 30000, 10000, 2
NOW_MS = 10**12  # every time and every fresh fence is above
TENURES = {"mine": b"m" * 16, "theirs": b"t" * 16, "nobody": NOBODY}
TOKENS = {"mine": b"M" * 16, "theirs": b"T" * 16, "other": b"O" * 16, "nobody": NOBODY}
MINE = Record(TENURES["mine"], TOKENS["mine"], 5, 8, b"me", b"value")
LATER = MINE.granted(6, 9)
SERVER = "5e" * 16

FILL = {
    "list": ("RPUSH", "a"),
    "set": ("SADD", "a"),
    "zset": ("ZADD", 1, "a"),
    "hash": ("HSET", "a", "b"),
    "stream": ("XADD", "*", "a", "b"),
}

OPERATIONS = {
    "ACQUIRE": lambda: acquire(KEY, MINE, TTL_MS),
    "ACQUIRE or queue": lambda: acquire(KEY, MINE, TTL_MS, wants_queue=True),
    "ACQUIRE SHARED": lambda: acquire(KEY, MINE, TTL_MS, SHARED, LIMIT),
    "RENEW": lambda: renew(KEY, MINE, TTL_MS),
    "RENEW with a higher fence": lambda: renew(KEY, LATER, TTL_MS),
    "RENEW SHARED": lambda: renew(KEY, MINE, TTL_MS, SHARED),
    "RELEASE": lambda: release(KEY, MINE),
    "RELEASE with a delay": lambda: release(KEY, MINE, delay_ms=DELAY_MS),
    "RELEASE SHARED": lambda: release(KEY, MINE, shared=True),
    "LEAVE": lambda: leave(KEY, MINE),
    "RESUME": lambda: resume(KEY, TENURES["mine"], TOKENS["theirs"], TTL_MS),
    "INSPECT": lambda: inspect(KEY),
}


def record_of(fields):
    label = fields.get("label", "x" * fields.get("label_length", 0)).encode()
    data = fields.get("value", "v" * fields.get("value_length", 0)).encode()
    token = TOKENS[fields.get("token", fields["tenure"])]
    return Record(TENURES[fields["tenure"]], token, fields["fence"], fields["since_ms"], label, data,
                  fields.get("flags", 0), fields.get("version", 1))


# In Redis


def put(client, lock):
    if not lock:
        return
    if "type" in lock:
        command, *rest = FILL[lock["type"]]
        client(command, KEY, *rest)
    elif "holders" in lock:
        holders = beside("holders", KEY)
        for fields in lock["holders"]:
            record = record_of(fields)
            client("HSET", holders, record.token, record.value())
            client("ZADD", KEY, client.time_us() + fields["ttl_ms"] * 1000, record.token)
        client("PEXPIRE", holders, lock["ttl_ms"])
    elif "record" in lock:
        client("SET", KEY, record_of(lock["record"]).value())
    else:
        client("SET", KEY, lock.get("string", "x" * lock.get("string_length", 0)))
    if lock["ttl_ms"] is not None:
        client("PEXPIRE", KEY, lock["ttl_ms"])
    if lock.get("is_expired"):
        deadline = time.monotonic() + 5
        while client("EXISTS", KEY) == 1:
            assert time.monotonic() < deadline


def name_of(names, wanted):
    return next(name for name, value in names.items() if value == wanted)


def shortened(text):
    return f"${len(text)} bytes" if len(text) > 100 else text.decode()


def row(grant, remaining_ms):
    """A grant, in the table's words."""
    ttl = "$kept"
    if remaining_ms != -1 and remaining_ms <= TTL_MS:
        ttl = "$ttl" if remaining_ms > DELAY_MS else "$delay"
    return [name_of(TENURES, grant.tenure), name_of(TOKENS, grant.token),
            "$fence" if grant.fence >= NOW_MS else grant.fence,
            "$now_ms" if grant.since_ms >= NOW_MS else grant.since_ms,
            shortened(grant.label), shortened(grant.value), ttl]


def grant_of(record, token):
    return Grant(record.tenure, token, record.since_ms, 0, record.fence, record.label, record.data)


def view(client):
    kind = client("TYPE", KEY)
    if kind == b"string":
        record = read_record(client("GET", KEY))
        return [row(grant_of(record, record.token), client("PTTL", KEY))]
    if kind != b"zset":
        return []
    now_us, rows = client.time_us(), []
    tokens = client("ZRANGE", KEY, 0, -1, "WITHSCORES")
    for token, until_us in zip(tokens[::2], tokens[1::2]):
        record = read_record(client("HGET", beside("holders", KEY), token))
        rows.append(row(grant_of(record, token), (int(until_us) - now_us) // 1000))
    assert abs(client("PTTL", KEY) * 1000 + now_us - int(tokens[-1])) < 1_000_000
    assert client("PTTL", beside("holders", KEY)) >= client("PTTL", KEY)
    return sorted(rows)


def snapshot(client):
    """All that makes the lock, and for how long."""
    holders = beside("holders", KEY)
    scores = client("ZRANGE", KEY, 0, -1, "WITHSCORES") if client("TYPE", KEY) == b"zset" else None
    return client("DUMP", KEY), sorted(client("HGETALL", holders)), scores


def becomes(client, before, ttl_ms):
    """What an operation made of the lock."""
    now_ms = client("PTTL", KEY)
    if snapshot(client) == before and (now_ms == ttl_ms == -1 or ttl_ms - 5000 < now_ms <= ttl_ms + 1):
        return "kept"  # written again, it ends at the next whole millisecond
    return view(client) or "absent"


def in_words(verb, result, ttl_ms):
    """A result, in the table's words."""
    words = []
    for at, field in enumerate(result):
        if isinstance(field, bytes):
            field = shortened(field)
        elif isinstance(field, int) and field >= NOW_MS and field < 2**53 - 1:
            field = "$fence" if field >= NOW_MS * 1000 else "$now_ms"
        elif at == 5 and result[0] in ("BUSY", "QUEUED", "HELD") and field != -1:
            assert 0 < field <= ttl_ms
            field = "$ttl_ms"
        words.append(field)
    return words


def run(batches, client, verb, name):
    lock = VECTORS["locks"][name]
    put(client, lock)
    before, ttl_ms = snapshot(client), client("PTTL", KEY)
    fence = batches.register().get("fence", 0)
    now_us, (result,) = batches.run(OPERATIONS[verb]())
    if verb.startswith("ACQUIRE") and result[0] == "OK" and result[1] >= NOW_MS:
        assert result[1] >= now_us and result[1] > fence and result[2] == now_us // 1000
    return {"result": in_words(verb, result, lock.get("ttl_ms") or 0),
            "lock": becomes(client, before, ttl_ms)}


@pytest.mark.parametrize("verb,name", CASES)
def test_vector(batches, client, verb, name):
    assert run(batches, client, verb, name) == VECTORS["verbs"][verb][name]


def without_times(client):
    value, records, scores = snapshot(client)
    return scores[::2] if scores else value, records


def without_ttl(result):
    return result[:5] + result[6:]


@pytest.mark.parametrize("verb,name", CASES)
def test_run_twice(batches, client, verb, name):
    """A second run changes nothing that the first did not, and grants nothing anew."""
    put(client, VECTORS["locks"][name])
    first = batches.one(OPERATIONS[verb]())
    value = without_times(client)
    second = batches.one(OPERATIONS[verb]())
    assert without_times(client) == value
    if verb.startswith("RELEASE") and first == ["OK"]:
        assert second == ["NOT_HELD"]
    else:
        assert without_ttl(second) == without_ttl(first)


# In the model


MODELLED = [(verb, name) for verb, name in CASES if "type" not in VECTORS["locks"][name]]


def put_in_model(model, lock):
    held = model.lock(KEY)
    if "string" in lock or "string_length" in lock or lock.get("is_foreign"):
        held.is_foreign = True
    elif "record" in lock or "holders" in lock:
        held.mode = SHARED if "holders" in lock else EXCLUSIVE
        for fields in lock.get("holders") or [lock["record"]]:
            record = record_of(fields)
            token = TOKENS[fields.get("token", fields["tenure"])]
            ttl_ms = fields.get("ttl_ms", lock["ttl_ms"])
            grant = grant_of(record, token)
            grant.until_us = FOR_EVER if ttl_ms is None else model.now_us + ttl_ms * 1000
            grant.is_closed = bool(record.flags & 2)
            held.grants.append(grant)
    model.at(model.now_us + (10000 if lock.get("is_expired") else 0))


def told_by_model(model, word, with_value=False):
    is_foreign, is_closed, mode, holders, grant = model.holder(KEY)
    fields = [word, is_foreign + 2 * is_closed + 4 * (mode == SHARED), holders]
    if is_foreign:
        return fields + [0, 0, "$ttl_ms", ""] + ([0, ""] if with_value else [])
    fields += [grant.fence, grant.since_ms, "$ttl_ms", shortened(grant.label)]
    return fields + ([model.waiting(KEY), shortened(grant.value)] if with_value else [])


def ask_model(model, verb):
    word, _, rest = verb.partition(" ")
    lock = model.lock(KEY)
    if word == "ACQUIRE":
        answer, grant = model.acquire(KEY, SERVER, MINE, TTL_MS,
                                      SHARED if rest == "SHARED" else EXCLUSIVE, LIMIT,
                                      wants_queue=rest == "or queue")
        if answer != "OK":
            return told_by_model(model, answer)
        if grant.fence is None:
            grant.fence = model.now_us
        return ["OK", "$fence" if grant.fence >= NOW_MS else grant.fence,
                "$now_ms" if grant.since_ms >= NOW_MS else grant.since_ms]
    if word == "RENEW":
        return [model.renew(KEY, LATER if rest == "with a higher fence" else MINE, TTL_MS)[0]]
    if word == "LEAVE":
        return [model.leave(KEY, SERVER, MINE.tenure)]
    if word == "RELEASE":
        ask = MINE if rest else replace(MINE, token=MINE.tenure)  # for it does not say its token
        return [model.release(KEY, SERVER, ask, False, DELAY_MS if rest == "with a delay" else 0)]
    if word == "RESUME":
        answer, grant = model.resume(KEY, TENURES["mine"], TOKENS["theirs"], TTL_MS)
        if answer != "OK":
            return [answer]
        return ["OK", 4 if lock.mode == SHARED else 0, grant.fence, grant.since_ms,
                shortened(grant.label), shortened(grant.value)]
    if not lock.is_foreign and not lock.grants:
        return ["FREE", model.waiting(KEY)]
    return told_by_model(model, "HELD", with_value=True)


def comparable(fields):
    """The model knows no lock that never ends."""
    return ["$ttl_ms" if field == -1 else field for field in fields]


@pytest.mark.parametrize("verb,name", MODELLED)
def test_model(verb, name):
    model = Model()
    model.at(1_700_000_000_000_000)
    put_in_model(model, VECTORS["locks"][name])
    before = repr(model.lock(KEY).grants)
    result = ask_model(model, verb)
    expected = VECTORS["verbs"][verb][name]
    assert comparable(result) == comparable(expected["result"])
    lock = model.lock(KEY)
    if expected["lock"] == "kept":
        assert repr(lock.grants) == before
    elif expected["lock"] == "absent":
        assert not lock.grants
    else:
        rows = sorted(row(grant, (grant.until_us - model.now_us) // 1000) for grant in lock.grants)
        for ours, theirs in zip(rows, expected["lock"], strict=True):
            assert comparable(ours) == comparable(theirs)


# In the simulation's model, which knows neither labels nor a grant that never ends


SIMULATED = [(verb, name) for verb, name in CASES
             if verb != "INSPECT" and ("string" in VECTORS["locks"][name]
                                       or VECTORS["locks"][name].get("ttl_ms", 0) is not None)]
NOW_US = 1_700_000_000_000_000


@pytest.fixture
def simulated():
    simulated = Simulated([KEY], [SERVER])
    yield simulated
    simulated.close()


def put_in_simulation(simulated, lock):
    if "type" in lock:
        simulated.other_type(KEY)
        return
    model = Model()
    model.at(NOW_US)
    put_in_model(model, {**lock, "is_expired": False})
    held = model.lock(KEY)
    if held.is_foreign:
        simulated.foreign(KEY)
    for grant in held.grants:
        simulated.put(KEY, held.mode, grant)


def simulated_rows(simulated, now_us):
    _, mode, holds, _ = simulated.lock(KEY)
    rows = []
    for tenure, token, fence, since_ms, until_us, is_closed in holds:
        tenure = NOBODY if is_closed else tenure
        token = NOBODY if is_closed and mode == EXCLUSIVE else token
        grant = Grant(tenure, token, since_ms, until_us, fence)
        rows.append(without_text(row(grant, (until_us - now_us) // 1000)))
    return sorted(rows)


def without_text(fields):
    return fields[:4] + fields[6:]


@pytest.mark.parametrize("verb,name", SIMULATED)
def test_simulated(simulated, verb, name):
    lock = VECTORS["locks"][name]
    simulated.at(NOW_US)
    put_in_simulation(simulated, lock)
    now_us = NOW_US + (10000 if lock.get("is_expired") else 0)
    simulated.at(now_us)
    before = simulated.lock(KEY)
    kind, _, rest = verb.partition(" ")
    ask = {"tenure": MINE.tenure, "token": MINE.token, "ttl_ms": TTL_MS, "fence": MINE.fence,
           "since_ms": MINE.since_ms, "mode": SHARED if rest == "SHARED" else EXCLUSIVE}
    if verb == "RENEW with a higher fence":
        ask.update(fence=LATER.fence, since_ms=LATER.since_ms)
    elif verb == "RELEASE with a delay":
        ask["delay_ms"] = DELAY_MS
    elif verb == "RELEASE":
        ask["token"] = MINE.tenure  # for it does not say its token
    elif verb == "RESUME":
        ask["token"] = TOKENS["theirs"]
    ask.update(keeps_lock=verb == "LEAVE", limit=LIMIT, wants_queue=rest == "or queue")
    kind = "release" if kind == "LEAVE" else kind.lower()
    word, *_ = simulated.run(kind, KEY, SERVER, **ask)
    expected = VECTORS["verbs"][verb][name]
    assert word == expected["result"][0]
    if expected["lock"] == "kept":
        assert simulated.lock(KEY)[2] == before[2]
    elif expected["lock"] == "absent":
        assert not simulated.lock(KEY)[2]
    else:
        assert simulated_rows(simulated, now_us) == sorted(map(without_text, expected["lock"]))


def test_table_is_complete():
    assert list(VECTORS["verbs"]) == list(OPERATIONS)
    for verb, locks in VECTORS["verbs"].items():
        assert list(locks) == list(VECTORS["locks"]), verb


def as_text(vectors):
    """The table with a line for each case."""
    def block(fields, indent):
        lines = [f"{indent}  {json.dumps(name)}: {json.dumps(value)}"
                 for name, value in fields.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"

    verbs = ",\n".join(f"    {json.dumps(verb)}: {block(locks, '    ')}"
                       for verb, locks in vectors["verbs"].items())
    about = ",\n".join(f"    {json.dumps(line)}" for line in vectors["about"])
    return (f'{{\n  "about": [\n{about}\n  ],\n  "locks": {block(vectors["locks"], "  ")},\n'
            f'  "verbs": {{\n{verbs}\n  }}\n}}\n')


@pytest.mark.skipif(os.environ.get("HOLDFAST_VECTORS") != "write", reason="writes the table")
def test_write(batches, client):
    VECTORS["verbs"] = {verb: {} for verb in OPERATIONS}
    for verb in OPERATIONS:
        for name in VECTORS["locks"]:
            client("FLUSHALL")
            batches.run()
            VECTORS["verbs"][verb][name] = run(batches, client, verb, name)
    PATH.write_text(as_text(VECTORS))
