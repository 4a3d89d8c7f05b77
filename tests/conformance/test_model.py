# SPDX-License-Identifier: Apache-2.0
"""Random sequences of operations, on the shipped script, on the model, and on the one that the
simulation runs on: every reply, every record, every queue and every message must be the same.
HOLDFAST_SEEDS and HOLDFAST_SEED choose which."""

import os
import random
from dataclasses import replace

import pytest

from batch import CLOSED, CONTENDED, FOREIGN, IS_CLOSED, IS_SHARED, Batches, Record
from batch import acquire, beside, inspect, leave, read_record, release, renew, resume
from batch import write_register
from model import EXCLUSIVE, NOBODY, SHARED, Model
from simulated import Simulated

SEQUENCES = int(os.environ.get("HOLDFAST_SEEDS", "500"))
FIRST = int(os.environ.get("HOLDFAST_SEED", "1"))
PARTS = 10
STEPS = 40
KEYS = ["lock:a", "lock:{b}c", "{b}"]
SERVERS = [f"{i:032x}" for i in range(1, 5)]
LATE_US = 1_000_000  # how much of a ttl a busy machine may take between two looks
HOUR_US = 3600 * 1_000_000


def tenure_of(server, number):
    return b"tenure%d.%d" % (int(server, 16), number) + bytes(7)


def token_of(tenure):
    return b"k" + tenure[1:]


class Hearing:
    """What is published, by one subscriber for all servers that are there."""

    def __init__(self, connect):
        self._client = connect()
        self._client("PSUBSCRIBE", "holdfast:lock:*")
        self._listening = set()

    def set_listening(self, servers):
        for server in servers - self._listening:
            self._client("SUBSCRIBE", f"holdfast:server:{server}")
        for server in self._listening - servers:
            self._client("UNSUBSCRIBE", f"holdfast:server:{server}")
        self._listening = set(servers)

    def take(self):
        """(server, tenure, key) in order, and the keys of changed locks."""
        told, changed = [], set()
        self._client.send("PING")
        while True:
            message = self._client.receive()
            if message[0] == b"pong":
                return told, changed
            if message[0] == b"message":
                told.append((message[1].decode().rsplit(":", 1)[1], message[2][:16],
                             message[2][16:].decode()))
            else:
                assert message[3] == b""
                changed.add(message[2].decode()[len("holdfast:lock:"):])

    def close(self):
        self._client.close()


class Run:
    """One sequence."""

    def __init__(self, seed, batches, hearing):
        self.random = random.Random(seed)
        self.batches = batches
        self.client = batches.client
        self.hearing = hearing
        self.model = Model()
        self.model.listening = set(SERVERS[:self.random.randint(1, 4)])
        self.limit = self.random.choice([0, 1, 2, 3])
        self.shared_share = self.random.choice([0, 0.3, 0.7, 1])
        self.trace = []
        if self.random.random() < 0.5:  # a clock behind the register: fences rise by one
            write_register(self.client, fence=self.client.time_us() + HOUR_US)
        hearing.set_listening(self.model.listening)
        hearing.take()
        self.simulated = Simulated(KEYS, SERVERS)
        self.simulated.hear(self.model.listening)
        self.simulated.at(self.client.time_us())

    def close(self):
        self.simulated.close()

    def ask(self, server, **fields):
        tenure = tenure_of(server, self.random.randint(0, 1))
        token = token_of(tenure)
        if self.random.random() < 0.1:
            token = token_of(tenure_of(self.random.choice(SERVERS), self.random.randint(0, 1)))
        text = self.random.choice([b"", b"a", b"label" * 20])
        return Record(tenure, token, label=text, data=text[:2] * 9, **fields)

    def mode(self):
        return SHARED if self.random.random() < self.shared_share else EXCLUSIVE

    def ttl_ms(self):
        return self.random.randint(30000, 90000)

    def operation(self, key, server):
        """The operation for the script, what asks the model for the same and checks, and the same for
        the simulation's model, if it has such an operation."""
        kind = self.random.choice(["acquire"] * 5 + ["renew"] * 2 + ["release"] * 4
                                  + ["leave", "resume", "inspect"])
        return getattr(self, kind)(key, server)

    def acquire(self, key, server):
        ask = self.ask(server)
        ttl_ms, mode = self.ttl_ms(), self.mode()
        wants_queue = self.random.random() < 0.7
        block = self.random.choice([0, 0, 5]) if mode == EXCLUSIVE else 0
        grant_ms = self.random.randint(20000, 30000)

        def check(result):
            word, grant = self.model.acquire(key, server, ask, ttl_ms, mode, self.limit,
                                             wants_queue, grant_ms)
            assert result[0] == word
            if word == "OK":
                if grant.fence is None:
                    self.model.adopt(key, grant, result[1])
                assert result[1:3] == [grant.fence, grant.since_ms]
                self.check_block(key, server, block, result[3:])
            else:
                self.check_holder(key, result[1:7])

        return acquire(key, ask, ttl_ms, mode, self.limit, wants_queue, block, grant_ms), check, dict(
            verb="acquire", tenure=ask.tenure, token=ask.token, ttl_ms=ttl_ms, mode=mode,
            limit=self.limit, wants_queue=wants_queue, block=block, grant_ms=grant_ms)

    def renew(self, key, server):
        lock = self.model.lock(key)
        held = self.random.choice(lock.grants) if lock.grants else None
        fence = (held.fence if held else 1000) + self.random.choice([-1, 0, 0, 1, 2])
        fence = self.random.choice([fence, fence, 0])
        ask = self.ask(server, fence=fence, since_ms=self.random.randint(1, 10**12))
        ttl_ms, block = self.ttl_ms(), 0
        if lock.mode == EXCLUSIVE:
            block = self.random.choice([0, 3])
        mode = lock.mode

        def check(result):
            word, grant = self.model.renew(key, ask, ttl_ms)
            assert result[0] == word
            rest = result[1:]
            if word == "OK":
                if fence == 0:
                    assert rest.pop(0) == grant.fence
                self.check_block(key, server, block, rest)

        return renew(key, ask, ttl_ms, mode, block), check, dict(
            verb="renew", tenure=ask.tenure, token=ask.token, ttl_ms=ttl_ms, mode=mode, block=block,
            fence=ask.fence, since_ms=ask.since_ms)

    def release(self, key, server):
        ask = self.ask(server)
        wants_queue = self.random.random() < 0.4
        delay_ms = self.random.choice([0, 0, 0, self.ttl_ms()])
        is_shared = self.model.lock(key).mode == SHARED

        def check(result):
            assert result == [self.model.release(key, server, ask, wants_queue, delay_ms)]

        return release(key, ask, wants_queue, delay_ms, is_shared), check, dict(
            verb="release", tenure=ask.tenure, token=ask.token, wants_queue=wants_queue,
            delay_ms=delay_ms)

    def leave(self, key, server):
        ask = self.ask(server)
        entry = self.model.lock(key).queue.get(server)
        if entry and self.random.random() < 0.7:
            ask = replace(ask, tenure=entry.tenure)

        def check(result):
            assert result == [self.model.leave(key, server, ask.tenure)]

        return leave(key, ask), check, dict(
            verb="release", tenure=ask.tenure, token=ask.token, keeps_lock=True)

    def resume(self, key, server):
        ask = self.ask(server)
        other = self.ask(server)
        token = self.random.choice([ask.token, ask.token, ask.token, NOBODY])
        ttl_ms = self.ttl_ms()

        def check(result):
            word, grant = self.model.resume(key, other.tenure, token, ttl_ms)
            assert result[0] == word
            if word == "OK":
                flags = IS_SHARED if self.model.lock(key).mode == SHARED else 0
                assert result[1:] == [flags, grant.fence, grant.since_ms, grant.label, grant.value]

        return resume(key, other.tenure, token, ttl_ms), check, dict(
            verb="resume", tenure=other.tenure, token=token, ttl_ms=ttl_ms)

    def inspect(self, key, server):
        return inspect(key), lambda result: self.check_inspect(key, result), None

    def check_block(self, key, server, block, fields):
        if not block:
            assert fields == []
            return
        end, waiting = fields
        lock = self.model.lock(key)
        assert end >= max(lock.floor, lock.first().fence) + block
        assert waiting == self.model.waiting(key, server)
        lock.floor = end

    def check_holder(self, key, fields):
        flags, holders, fence, since_ms, remaining_ms, label = fields
        is_foreign, is_closed, mode, count, grant = self.model.holder(key)
        wanted = (FOREIGN * is_foreign) | (IS_CLOSED * is_closed) | (IS_SHARED * (mode == SHARED))
        assert (flags, holders) == (wanted, count)
        if is_foreign:
            assert (fence, since_ms, label) == (0, 0, b"")
            return
        if grant.fence is not None:
            assert fence == grant.fence
        assert (since_ms, label) == (grant.since_ms, grant.label)
        assert abs(remaining_ms * 1000 - (grant.until_us - self.model.now_us)) <= LATE_US

    def check_inspect(self, key, result):
        lock = self.model.lock(key)
        if not lock.is_foreign and not lock.grants:
            assert result == ["FREE", len(lock.queue)]
            return
        assert result[0] == "HELD"
        self.check_holder(key, result[1:7])
        assert result[7] == len(lock.queue)
        assert result[8] == (b"" if lock.is_foreign else self.model.holder(key)[4].value)

    def disturb(self):
        """What happens without an operation."""
        key = self.random.choice(KEYS)
        lock = self.model.lock(key)
        what = self.random.choice(["expire", "expire", "foreign", "hear"])
        if what == "hear":
            self.model.listening = {s for s in SERVERS if self.random.random() < 0.7}
            self.hearing.set_listening(self.model.listening)
            self.simulated.hear(self.model.listening)
        elif what == "foreign" and not lock.grants and not lock.is_foreign:
            self.client("SET", key, "x", "PX", 60000)
            lock.is_foreign, lock.mode = True, EXCLUSIVE
            self.simulated.foreign(key)
        elif lock.is_foreign or (lock.grants and lock.mode == EXCLUSIVE):
            self.client("DEL", key)
            lock.is_foreign, lock.grants = False, []
            self.simulated.delete(key)
        elif lock.grants:
            ended = self.random.choice(lock.grants)
            self.client("ZADD", key, "XX", self.client.time_us() - 1, ended.token)
            lock.grants.remove(ended)
            self.simulated.end(key, ended)

    def check_state(self, key):
        lock = self.model.lock(key)
        waiting = self.client("ZRANGE", beside("queue", key), 0, -1)
        assert [server.decode() for server in waiting] == list(lock.queue)
        entries = self.client("HGETALL", beside("entries", key))
        tenures = {server.decode(): entry[1:17] for server, entry in zip(entries[::2],
                                                                       entries[1::2])}
        assert tenures == {server: entry.tenure for server, entry in lock.queue.items()}
        if lock.is_foreign:
            assert self.client("GET", key) == b"x"
            return
        if lock.mode == EXCLUSIVE or not lock.grants:
            value = None
            if lock.grants or self.client("TYPE", key) == b"string":
                value = self.client("GET", key)
            records = [read_record(value)] if value else []
        else:
            fields = self.client("HGETALL", beside("holders", key))
            live = set(self.client("ZRANGEBYSCORE", key, f"({self.model.now_us}", "+inf"))
            records = [replace(read_record(record), token=token)
                       for token, record in zip(fields[::2], fields[1::2]) if token in live]
        assert len(records) == len(lock.grants)
        for record in records:
            grant = lock.find(tenure=record.tenure, token=record.token)
            assert grant, (record, lock)
            if grant.fence is None:
                self.model.adopt(key, grant, record.fence)
            assert (record.fence, record.since_ms) == (grant.fence, grant.since_ms)
            assert (record.label, record.data) == (grant.label, grant.value)
            assert bool(record.flags & CLOSED) == grant.is_closed
            if lock.mode == EXCLUSIVE and lock.queue:
                assert record.flags & CONTENDED

    def check_simulated(self, server, keys, asked, results):
        """The simulation promises nothing that the script does not do: its words, its locks and its
        queues are the same, and it sends no message that the script does not send."""
        told, changed = [], set()
        for key, (_, _, operation), result in zip(keys, asked, results):
            if operation is None:
                continue
            word, waiting, heard, is_changed = self.simulated.run(key=key, server=server, **operation)
            assert word == result[0], f"the simulation's model says {word} to {operation}"
            if word == "OK" and operation.get("block"):
                assert waiting == result[-1]
            told += heard
            changed |= {key} if is_changed else set()
        assert set(told) == set(self.model.told), "told by the simulation's model"
        assert changed <= self.model.changed

    def check_simulated_state(self, key):
        lock = self.model.lock(key)
        kind, mode, holds, entries = self.simulated.lock(key)
        wanted = "foreign" if lock.is_foreign else "held" if lock.grants else "free"
        assert kind == wanted
        assert entries == [(server, entry.tenure) for server, entry in lock.queue.items()]
        if kind != "held":
            return
        assert mode == lock.mode
        ours = sorted((grant.tenure, NOBODY if grant.is_closed else grant.token, grant.fence,
                       grant.since_ms, grant.until_us, grant.is_closed) for grant in lock.grants)
        assert ours == sorted((NOBODY, NOBODY, *hold[2:]) if hold[5] else hold for hold in holds)

    def step(self):
        if self.random.random() < 0.15:
            self.disturb()
        keys = self.random.sample(KEYS, self.random.choice([1, 1, 2, 3]))
        server = self.batches.server = self.random.choice(SERVERS)
        self.batches.in_short = self.random.random() < 0.8
        asked = [self.operation(key, server) for key in keys]
        now_us, results = self.batches.run(*[operation for operation, _, _ in asked])
        self.trace = [*zip((operation[:2] for operation, _, _ in asked), results)]
        self.model.at(now_us)
        self.simulated.at(now_us)
        self.model.told, self.model.changed = [], set()
        for (_, check, _), result in zip(asked, results):
            check(result)
        self.check_simulated(server, keys, asked, results)
        for key in KEYS:
            self.check_state(key)
        self.model.settle()
        self.simulated.adopt(self.batches.fence(), self.model.locks)
        for key in KEYS:
            self.check_simulated_state(key)
        told, changed = self.hearing.take()
        assert told == self.model.told
        assert changed == self.model.changed
        now_us, results = self.batches.run(*map(inspect, KEYS))
        self.model.at(now_us)
        for key, result in zip(KEYS, results):
            self.check_inspect(key, result)


@pytest.mark.parametrize("part", range(PARTS))
def test_random_sequences(client, script, shared_server, part):
    hearing = Hearing(shared_server.connect)
    try:
        for seed in range(FIRST + part, FIRST + SEQUENCES, PARTS):
            client("FLUSHALL")
            batches = Batches(client, script, watch_us=HOUR_US)
            batches.run()
            run = Run(seed, batches, hearing)
            for step in range(STEPS):
                try:
                    run.step()
                except AssertionError as problem:
                    raise AssertionError(
                        f"seed {seed}, step {step}: {problem!r}\n{run.trace}") from problem
            run.close()
    finally:
        hearing.close()
